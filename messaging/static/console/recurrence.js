// Builds common rules from a few choices, and shows the next runs as computed by the server, which also writes the dates to leave
// out and to add.
window.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".sb-recurrence")) {
    const form = box.closest("form");
    const text = box.querySelector("textarea[name]");
    const own = box.querySelector(".sb-own");
    const builder = box.querySelector(".sb-builder");
    const list = box.querySelector("[data-testid=next-runs]");
    const omitted = box.querySelector("[data-left-out]");
    const notes = box.querySelector("[data-notes]");
    const adding = box.querySelector("[data-add]");
    const holidays = form.elements.holidays;
    const [freq, interval, count] = ["freq", "interval", "count"].map((name) => builder.querySelector(`[data-build=${name}]`));
    const days = [...builder.querySelectorAll("[data-day]")];
    let waiting;
    let requests = 0;

    const isDate = (line) => /^\s*(EXDATE|RDATE)/i.test(line);
    const lines = () => text.value.replace(/\r?\n[ \t]/g, "").split(/\r?\n/).filter(Boolean);

    const show = () => {
      for (const part of builder.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(freq.value);
      own.hidden = freq.value !== "own";
    };

    const build = () => {
      if (freq.value === "own") return;
      const chosen = days.filter((day) => day.checked).map((day) => day.dataset.day);
      const parts = [`FREQ=${freq.value}`];
      if (Number(interval.value) > 1) parts.push(`INTERVAL=${Number(interval.value)}`);
      if (freq.value === "WEEKLY" && chosen.length) parts.push(`BYDAY=${chosen.join(",")}`);
      if (count.value) parts.push(`COUNT=${Number(count.value)}`);
      text.value = [...(freq.value ? [`RRULE:${parts.join(";")}`] : []), ...lines().filter(isDate)].join("\n");
    };

    // Shows an existing rule in the builder, if the builder could have made it.
    const read = () => {
      const rules = lines().filter((line) => !isDate(line));
      const rule = Object.fromEntries(rules.join("\n").replace(/^RRULE:/i, "").split(";").filter(Boolean).map((part) => part.toUpperCase().split("=")));
      const known = ["FREQ", "INTERVAL", "COUNT", ...(rule.FREQ === "WEEKLY" ? ["BYDAY"] : [])];
      const plain = [...freq.options].some((option) => option.value === rule.FREQ) && Object.keys(rule).every((key) => known.includes(key));
      freq.value = rules.length ? (plain ? rule.FREQ : "own") : "";
      interval.value = rule.INTERVAL || 1;
      count.value = rule.COUNT || "";
      for (const day of days) day.checked = (rule.BYDAY || "").split(",").includes(day.dataset.day);
      show();
    };

    const item = (line, details, act, at) => {
      const row = document.createElement("li");
      const shown = document.createElement(act === "put_back" ? "s" : "span");
      shown.textContent = line;
      const detail = document.createElement("em");
      detail.className = "sb-muted";
      detail.textContent = details;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sb-button";
      button.textContent = act === "put_back" ? "Put back" : "Leave out";
      button.setAttribute("aria-label", `${button.textContent} ${line}`);
      button.dataset.at = at;
      button.addEventListener("click", () => preview({ [act]: at }));
      row.append(shown, " ", detail, " ", button);
      return row;
    };

    const message = (line) => {
      const row = document.createElement("li");
      row.className = "sb-muted";
      row.textContent = line;
      return row;
    };

    const preview = async (edit = {}) => {
      const number = ++requests;
      const fields = { run_at: form.elements.run_at.value, time_zone: form.elements.time_zone.value, recurrence: text.value };
      const body = new URLSearchParams({ ...fields, holidays: holidays ? holidays.value : "", ...edit });
      const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
      const response = await fetch(box.dataset.preview, { method: "POST", body, headers }).catch(() => null);
      if (!response || !response.ok || number !== requests) return;
      const found = await response.json();
      offer(found.regions);
      notes.textContent = found.error && Object.keys(edit).length ? found.error : found.notes.join(" ");
      notes.hidden = !notes.textContent;
      if (found.error && Object.keys(edit).length) return; // the runs are still those that are shown
      list.replaceChildren(...(found.error ? [message(found.error)] : found.runs.map((run) => item(run.text, run.is_added ? "added" : "", "leave_out", run.at))));
      omitted.querySelector("ul").replaceChildren(...found.left_out.map((run) => item(run.text, run.name, "put_back", run.at)));
      omitted.hidden = !found.left_out.length;
      adding.hidden = Boolean(found.error);
      if (found.recurrence === undefined) return;
      text.value = found.recurrence;
      read();
      const moved = Object.values(edit)[0];
      const next = box.querySelector(`[data-at="${CSS.escape(moved)}"]`) || list.querySelector("button");
      if (next) next.focus();
    };

    // The regions of the chosen country join the countries in the list of suggestions.
    const offer = (regions) => {
      const suggestions = holidays && holidays.list;
      if (!suggestions) return;
      for (const option of suggestions.querySelectorAll("[data-region]")) option.remove();
      for (const [code, name] of regions) {
        const option = new Option(name, code);
        option.dataset.region = "";
        suggestions.append(option);
      }
    };

    const soon = () => {
      clearTimeout(waiting);
      waiting = setTimeout(preview, 200, {});
    };

    builder.hidden = false;
    read();
    builder.addEventListener("input", () => {
      show();
      build();
      soon();
    });
    adding.querySelector("button").addEventListener("click", () => preview({ add: adding.querySelector("input").value }));
    // Enter adds the date and does not submit the form.
    adding.querySelector("input").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      preview({ add: event.target.value });
    });
    for (const field of [text, form.elements.run_at, form.elements.time_zone, holidays].filter(Boolean)) field.addEventListener("input", soon);
    preview();
  }
});
