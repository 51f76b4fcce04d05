// Renews the progress of a schedule while it moves and somebody looks at it.
(() => {
  const panel = document.getElementById("progress");

  async function refresh() {
    if (document.hidden || panel.contains(document.activeElement)) return;
    const answer = await fetch(panel.dataset.live).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const news = await answer.json();
    panel.innerHTML = news.html;
    panel.dataset.moves = news.moves;
  }

  // What does not move may begin to: it is asked for less often.
  let rest = 0;
  setInterval(() => {
    if (panel.dataset.moves === "true" || ++rest % 5 === 0) refresh();
  }, 2000);
})();
