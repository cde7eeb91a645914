// Everything works without this file. It adds keys, live figures and a bar for uploads.
"use strict";

const typing = (element) => element.closest("input, select, textarea, [contenteditable]") !== null;

// `/` to the search field; j and k through a list.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "/") {
    const search = document.getElementById("q");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  }
});

function step(by) {
  const links = [...document.querySelectorAll("[data-list] tbody tr, [data-list] > li")]
    .map((row) => row.querySelector("a"))
    .filter(Boolean);
  if (!links.length) return;
  const here = links.findIndex((link) => link === document.activeElement);
  const next = here < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, here + by));
  links[next].focus();
  links[next].scrollIntoView({ block: "nearest" });
}

// One box for all boxes of a name.
for (const all of document.querySelectorAll("[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of document.getElementsByName(all.dataset.all)) box.checked = all.checked;
  });
}

// A menu closes when something else is wanted.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.me[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.me[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// On a phone the menu is a row: what is shown now should be in sight.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Parts that are asked for again. Not while nobody looks, and not while somebody is inside with the keyboard.
for (const part of document.querySelectorAll("[data-refresh]")) refresh(part);

function refresh(part) {
  const every = Number(part.dataset.every) * 1000;
  const again = () => setTimeout(ask, every);
  async function ask() {
    if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) return again();
    try {
      const answer = await fetch(part.dataset.refresh, { headers: { "x-fragment": "1" } });
      if (answer.status === 401) return location.reload();
      if (answer.ok) {
        part.innerHTML = await answer.text();
        const done = part.querySelector("[data-done]");
        if (done) return location.reload();
      }
    } catch {
      // The next time will do.
    }
    again();
  }
  again();
}

// Uploads tell how far they are.
for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("progress");
    const button = form.querySelector("button");
    const request = new XMLHttpRequest();
    bar.hidden = false;
    button.disabled = true;
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) bar.value = step.loaded / step.total;
    });
    request.addEventListener("load", () => {
      const to = request.getResponseHeader("x-location");
      if (to) return location.assign(to);
      document.open();
      document.write(request.responseText);
      document.close();
    });
    request.addEventListener("error", () => {
      button.disabled = false;
      bar.hidden = true;
    });
    request.open("POST", form.action);
    request.setRequestHeader("x-fragment", "1");
    request.send(new FormData(form));
  });
}
