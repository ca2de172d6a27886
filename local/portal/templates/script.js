// Shows at once what the link « Actualiser » would show. Everything works without it.
"use strict";

let known = document.body.dataset.moves;

function isBusy(part) {
  // Never under somebody's fingers: a form that is being filled in stays as it is.
  return part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
}

function replace(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || isBusy(part) || part.innerHTML === next.innerHTML) continue;
    for (const opened of part.querySelectorAll("details[open][id]")) {
      next.querySelector(`details[id="${CSS.escape(opened.id)}"]`)?.setAttribute("open", "");
    }
    const focused = document.activeElement?.closest("[data-live]") === part ? document.activeElement.closest("[id]")?.id : null;
    part.replaceChildren(...next.childNodes);
    if (focused) document.getElementById(focused)?.querySelector("summary, a, button")?.focus();
  }
  const newest = document.querySelector(".events > .event");
  if (newest) {
    newest.classList.add("new");
    document.getElementById("annonce").textContent = newest.querySelector(".what").textContent + " " + newest.querySelector(".about").textContent;
  }
  mark();
}

function mark() {
  for (const link of document.querySelectorAll(".refresh")) {
    link.textContent = "En direct";
    link.title = "Les réponses s’affichent d’elles-mêmes";
    link.classList.add("live");
  }
}

async function follow() {
  for (;;) {
    try {
      const { moves } = await (await fetch(`/nouvelles?connu=${known}`)).json();
      if (String(moves) !== known) {
        known = String(moves);
        const page = await (await fetch(location.href)).text();
        replace(new DOMParser().parseFromString(page, "text/html"));
      }
    } catch {
      await new Promise((resume) => setTimeout(resume, 2000));
    }
  }
}

mark();
follow();
