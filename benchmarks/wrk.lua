-- Sends the prepared requests of the file BENCH_REQUESTS, each once, and ends after BENCH_SECONDS or when all have been
-- answered. Each request of the file is its length in decimal digits, a line end, and its bytes.
-- The clock starts when the first BENCH_CONNECTIONS are answered: from then on each of them is busy. Prints
-- {"requests", "counted" (answered since), "seconds" (since), "refused" (not 2xx)}; wrk itself would wait for its whole duration.
local ffi = require("ffi")
ffi.cdef[[
typedef struct { long seconds; long microseconds; } bench_time;
int gettimeofday(bench_time *now, void *zone);
]]
local moment = ffi.new("bench_time")

local function now()
   ffi.C.gettimeofday(moment, nil)
   return tonumber(moment.seconds) + tonumber(moment.microseconds) / 1e6
end

local prepared, answered, refused, started = {}, 0, 0, nil
local sent = -1 -- wrk asks for one request before it begins, to look at it, and does not send it
local limit, connections = tonumber(os.getenv("BENCH_SECONDS")), tonumber(os.getenv("BENCH_CONNECTIONS"))

function init()
   local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
   for length in function() return file:read("*l") end do
      prepared[#prepared + 1] = file:read(tonumber(length))
   end
   file:close()
end

local function finish()
   local report = '{"requests": %d, "counted": %d, "seconds": %.6f, "refused": %d}\n'
   io.write(string.format(report, answered, answered - connections, now() - started, refused))
   io.flush()
   os.exit(0)
end

function request()
   sent = sent + 1
   return prepared[math.max(sent, 1)] or "GET " -- when none is left: the start of a request, which is never answered
end

function response(status)
   answered = answered + 1
   if status < 200 or status > 299 then refused = refused + 1 end
   if answered == connections then started = now() end
   if answered > connections and (answered >= #prepared or now() - started >= limit) then finish() end
end
