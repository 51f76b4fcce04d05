// The counter asks the server, which counts as the sender does; the preview is drawn here.
(() => {
  const form = document.getElementById("compose");
  const counter = form.querySelector(".sb-counter");
  const bubble = document.querySelector("[data-preview=text]");
  const from = document.querySelector("[data-preview=sender]");
  let waiting;
  let asked = 0;

  async function measure() {
    const number = ++asked;
    const body = new URLSearchParams({ text: form.elements.text.value });
    const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(form.dataset.measure, { method: "POST", body, headers }).catch(() => null);
    if (!answer || !answer.ok) return;
    const measured = await answer.json();
    if (number !== asked) return; // a later text has been asked about
    counter.dataset.fits = measured.fits;
    for (const part of counter.querySelectorAll("[data-part]")) part.textContent = measured[part.dataset.part];
  }

  form.elements.text.addEventListener("input", () => {
    bubble.textContent = form.elements.text.value || "Your text";
    clearTimeout(waiting);
    waiting = setTimeout(measure, 150);
  });
  form.elements.sender.addEventListener("change", (event) => {
    from.textContent = event.target.selectedOptions[0].textContent;
  });
})();
