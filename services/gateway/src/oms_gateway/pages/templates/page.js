"use strict";
const byId = (id) => document.getElementById(id);
const find = byId("find");
const index = byId("index");
const cards = [...document.querySelectorAll("[data-words]")];
const entries = new Map([...document.querySelectorAll("[data-for]")].map((entry) => [entry.dataset.for, entry]));

// On a phone the contents would push the page away.
if (matchMedia("(max-width: 56rem)").matches) index.open = false;

function search() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const card of cards) {
    const fits = words.every((word) => card.dataset.words.includes(word));
    card.hidden = !fits;
    found += fits;
    const entry = entries.get(card.id);
    if (entry) entry.hidden = !fits;
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = ![...group.querySelectorAll("[data-words], [data-for]")].some((one) => !one.hidden);
  }
  for (const intro of document.querySelectorAll(".intro")) intro.hidden = words.length > 0;
  byId("found").textContent = words.length ? `${found} of ${cards.length}` : "";
}

// What is linked to is shown, whatever was searched for.
function reveal() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    find.value = "";
    search();
  }
  const closed = target.closest("details");
  if (closed && !target.closest("aside")) closed.open = true;
  target.scrollIntoView();
}

function theme(wanted) {
  document.documentElement.dataset.theme = wanted;
  try { localStorage.setItem("oms-theme", wanted); } catch { /* a browser that keeps nothing */ }
}

try { if (localStorage.getItem("oms-theme")) theme(localStorage.getItem("oms-theme")); } catch { /* as above */ }
byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  theme(dark === "dark" ? "light" : "dark");
});
find.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    find.focus();
  }
  if (event.key === "Escape" && document.activeElement === find) {
    find.value = "";
    search();
  }
});
index.addEventListener("click", (event) => {
  if (event.target.closest("a") && matchMedia("(max-width: 56rem)").matches) index.open = false;
});
addEventListener("hashchange", reveal);
if (find.value) search();
reveal();
