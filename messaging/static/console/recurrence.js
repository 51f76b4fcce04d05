// Builds common rules from a few choices, and shows the next runs as computed by the server.
window.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".sb-recurrence")) {
    const form = box.closest("form");
    const text = box.querySelector("input[name]");
    const own = box.querySelector(".sb-own");
    const builder = box.querySelector(".sb-builder");
    const list = box.querySelector(".sb-next ul");
    const [freq, interval, count] = ["freq", "interval", "count"].map((name) => builder.querySelector(`[data-build=${name}]`));
    const days = [...builder.querySelectorAll("[data-day]")];
    let waiting;
    let requests = 0;

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
      text.value = freq.value ? `RRULE:${parts.join(";")}` : "";
    };

    // Shows an existing rule in the builder, if the builder could have made it.
    const read = () => {
      const rule = Object.fromEntries(text.value.replace(/^RRULE:/i, "").split(";").filter(Boolean).map((part) => part.toUpperCase().split("=")));
      const known = ["FREQ", "INTERVAL", "COUNT", ...(rule.FREQ === "WEEKLY" ? ["BYDAY"] : [])];
      const plain = [...freq.options].some((option) => option.value === rule.FREQ) && Object.keys(rule).every((key) => known.includes(key));
      freq.value = text.value ? (plain ? rule.FREQ : "own") : "";
      interval.value = rule.INTERVAL || 1;
      count.value = rule.COUNT || "";
      for (const day of days) day.checked = (rule.BYDAY || "").split(",").includes(day.dataset.day);
      show();
    };

    const preview = async () => {
      const number = ++requests;
      const body = new URLSearchParams({ run_at: form.elements.run_at.value, time_zone: form.elements.time_zone.value, recurrence: text.value });
      const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
      const response = await fetch(box.dataset.preview, { method: "POST", body, headers }).catch(() => null);
      if (!response || !response.ok || number !== requests) return;
      const found = await response.json();
      list.replaceChildren(...(found.error ? [found.error] : found.runs).map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        if (found.error) item.className = "sb-muted";
        return item;
      }));
    };

    const soon = () => {
      clearTimeout(waiting);
      waiting = setTimeout(preview, 200);
    };

    builder.hidden = false;
    read();
    builder.addEventListener("input", () => {
      show();
      build();
      soon();
    });
    for (const field of [text, form.elements.run_at, form.elements.time_zone]) field.addEventListener("input", soon);
    preview();
  }
});
