// What inspection.py asks of a page: each function gives sentences that say what is wrong.
window.inspection = (() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true });
  const outline = (element) => element.outerHTML.slice(0, 120);
  const say = (sentence, elements) => elements.map((element) => `${sentence}: ${outline(element)}`);
  const lines = (element) => element.textContent.trim().replace(/\s+/g, " ");

  // The page says what it is, in French, and has one of each part (RGAA 8, 9.2, 12.6).
  const frame = () => {
    const found = [];
    for (const what of ["h1", "main", "body > header", "body > footer", "head > title"]) {
      if (all(what).length !== 1) found.push(`${all(what).length} of ${what}`);
    }
    if (document.documentElement.lang !== "fr") found.push("no language");
    if (!/\S.* – \S/.test(document.title)) found.push(`title: ${document.title}`);
    const names = all("nav").filter(seen).map((nav) => nav.getAttribute("aria-label"));
    if (names.includes(null)) found.push("a nav without a name");
    for (const name of new Set(names)) {
      if (names.filter((other) => other === name).length > 1) found.push(`two navs: ${name}`);
    }
    return found;
  };

  // What is said at a field: its name, and what describes it.
  const about = (field) => {
    const ids = (field.getAttribute("aria-describedby") || "").split(" ");
    return [field.labels?.[0], ...ids.map((id) => document.getElementById(id))].filter((part) => part);
  };
  const isSaidToBeRequired = (field) =>
    about(field).some((part) => !part.matches(".error") && /obligatoire/i.test(part.textContent));

  // Who made a mistake hears it in the title, at the field, and first of all (RGAA 11.10, 7.5).
  const mistakes = () => {
    const found = [], wrong = all("[aria-invalid=true]");
    const alone = (field) => all("input:not([type=hidden]), select, textarea", field.form).length === 1;
    const empty = wrong.filter((field) => field.value === "" && field.form?.method === "post" && !alone(field));
    found.push(...say("not said before that it is required", empty.filter((field) => !isSaidToBeRequired(field))));
    if (wrong.length && !document.title.startsWith("Erreur – ")) found.push(`title: ${document.title}`);
    for (const field of wrong) {
      if (!about(field).some((part) => part.matches(".error") && lines(part))) found.push(`no error beside it: ${outline(field)}`);
    }
    const first = all("[role=alert]").find(seen);
    if (wrong.length && !first) found.push("no summary of errors");
    if (first && document.activeElement !== first) found.push(`no focus: ${outline(first)}`);
    return found;
  };

  // Tables and links say what they are; ids are there, once (RGAA 5, 6, 8.2).
  const names = () => {
    const found = say("no scope", all("th").filter((head) => !head.scope));
    const named = "[aria-label], [aria-labelledby]";
    found.push(...say("no name", all("table").filter((table) => !table.caption && !table.closest(named))));
    const pictures = all("svg").filter((svg) => !svg.matches('[aria-hidden=true], [role=img][aria-labelledby], [role=img] svg'));
    found.push(...say("neither a picture nor hidden", pictures));
    const several = all("[required]").filter((field) => all("[required]", field.form).length > 1);
    found.push(...say("not said to be required", several.filter((field) => !isSaidToBeRequired(field))));
    found.push(...say("twice", all("[id]").filter((part) => all(`[id="${CSS.escape(part.id)}"]`).length > 1)));
    const within = all('a[href^="#"]');
    found.push(...say("leads nowhere", within.filter((link) => !document.querySelector(link.hash))));
    const places = {};
    let heading = "";
    for (const part of all("main :is(h1, h2, h3, a[href])").filter(seen)) {
      if (!part.matches("a")) heading = lines(part);
      else {
        const to = part.getAttribute("href");
        if (!lines(part)) found.push(`no text: ${outline(part)}`);
        if ((places[`${heading} ${lines(part)}`] ??= to) !== to) found.push(`another place: ${outline(part)}`);
      }
    }
    return found;
  };

  // What no page has: looks in the markup, windows that open, what moves or reloads by itself (RGAA 8.9, 10.1, 13).
  const never = () => {
    const looks = ":not(html)[style], font, center, [align], [bgcolor], marquee, blink";
    const acts = "[onclick], [accesskey], [autoplay], [http-equiv=refresh], [target], iframe, img:not([alt])";
    return say("never", [...all(looks), ...all(acts), ...all("[tabindex]").filter((part) => part.tabIndex > 0)]);
  };

  // Each thing that takes the focus shows it (RGAA 10.7). Call it after a key was pressed: only then it has to.
  const focus = () => {
    const usable = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    const shows = (element) => {
      const style = getComputedStyle(element), box = element.getBoundingClientRect();
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width * box.height > 1;
    };
    const reached = all(usable).filter((part) => part.tabIndex >= 0 && !part.disabled && seen(part));
    return say("focus not seen", reached.filter((part) => {
      part.focus({ preventScroll: true });
      return document.activeElement !== part || ![part, part.closest("label")].some((it) => it && shows(it));
    }));
  };

  // Where the system chooses the colours, what one uses has an edge (RGAA 10.5).
  const edges = () => {
    const own = ".hidden, .hidden *, .segments input, [type=checkbox], [type=radio]";
    const usable = all("button, .button, input:not([type=hidden]), select, textarea").filter(seen);
    const bare = (part) => !part.matches(own) && getComputedStyle(part).borderTopStyle === "none";
    return say("no edge", usable.filter(bare));
  };

  // Nothing moves where it is not wanted (RGAA 13.8).
  const motion = () => {
    const lasts = (text) => text.split(",").some((part) => parseFloat(part) > 0);
    return say("moves", all("*").filter((part) => {
      const style = getComputedStyle(part);
      return lasts(style.transitionDuration) || lasts(style.animationDuration);
    }));
  };

  // Nothing is pushed aside or cut off by its own box (RGAA 10.4, 10.11, 10.12).
  const room = () => {
    const needed = document.documentElement.scrollWidth, found = [];
    if (needed > innerWidth) {
      const beyond = all("*").filter((part) => !part.closest("nav") && seen(part) && part.getBoundingClientRect().right > innerWidth + 1);
      found.push(`needs ${needed} px: ${beyond.slice(0, 8).map(outline)}`);
    }
    const cut = all("main *").filter((part) => part.childElementCount === 0 && lines(part) && seen(part));
    const elsewhere = ".hidden, .hidden *, svg *, thead *, option, textarea";
    return [...found, ...say("cut off", cut.filter((part) => !part.matches(elsewhere) &&
      part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX !== "visible"))];
  };

  // The same with text as spread out as a reader may have it (RGAA 10.12).
  const spread = () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; " +
      "word-spacing: .16em !important; } p { margin-bottom: 2em !important; }");
    document.adoptedStyleSheets = [sheet];
    const found = room();
    document.adoptedStyleSheets = [];
    return found.map((fault) => `spread out: ${fault}`);
  };

  // The same with larger text (RGAA 10.4): the style sheet has 106.25 %. No word is written one letter below the other.
  const grow = (percent) => () => {
    document.documentElement.style.fontSize = `${1.0625 * percent}%`;
    const narrow = (part) => part.clientWidth < 4 * parseFloat(getComputedStyle(part).fontSize);
    const words = all("main :is(h1, h2, h3, h4)").filter((part) => lines(part).length > 9 && !part.closest(".hidden") && seen(part));
    const found = [...room(), ...say("squeezed", words.filter(narrow))];
    document.documentElement.removeAttribute("style");
    return found.map((fault) => `text of ${percent} %: ${fault}`);
  };
  const enlarged = grow(200), larger = grow(150);

  // Fields side by side stand on one line, whatever is said above and below them.
  const level = () => {
    const found = [], top = (part) => part.getBoundingClientRect().top;
    for (const row of all(".pair, .grid")) {
      const fields = [...row.children].filter((part) => part.matches(".field") && seen(part));
      const control = (field) => field.querySelector("input:not([type=hidden]), select, textarea");
      for (const [at, field] of fields.slice(1).entries()) {
        const box = field.getBoundingClientRect(), before = fields[at].getBoundingClientRect();
        const isBeside = box.left >= before.right && box.top < before.bottom && before.top < box.bottom;
        if (isBeside && Math.abs(top(control(field)) - top(control(fields[at]))) > 2) found.push(control(field));
      }
    }
    return say("not on one line with the field before it", found);
  };

  // No column is so narrow that one reads downwards, no ordinary word is broken in two; on a desk no table is pushed aside.
  const columns = () => {
    const rows = (range) => new Set([...range.getClientRects()].map((box) => Math.round(box.bottom))).size;
    const found = [], range = document.createRange(), walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const part = node.parentElement;
      if (!node.data.trim() || !seen(part) || part.closest(".hidden, svg, pre, code, option, textarea, thead")) continue;
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (rows(range) > 4 && box.width < 5.5 * parseFloat(getComputedStyle(part).fontSize)) found.push(`a narrow column: ${outline(part)}`);
      for (const word of rows(range) > 1 ? node.data.matchAll(/(?<=^|\s)[\p{L}\d’]{2,14}(?=[\s.,;:!?…)]|$)/gu) : []) {
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (rows(range) > 1) found.push(`a broken word, ${word[0]}: ${outline(part)}`);
      }
    }
    const aside = all(".table").filter((part) => seen(part) && part.scrollWidth > part.clientWidth + 1);
    return [...found, ...say("pushed aside", innerWidth > 1400 ? aside : [])];
  };

  // There is air between the parts of a page.
  const air = () => {
    const parts = ".table, .panel, .notice, .filters, .empty, .form, .items, .split, .meter, main h2:not(.card *, .session *), h2 ~ h3";
    const inFlow = (part) => part && seen(part) && !["absolute", "fixed"].includes(getComputedStyle(part).position);
    return say("no air", all(parts).filter(inFlow).filter((part) => {
      const box = part.getBoundingClientRect(), least = part.matches(".meter") ? 4 : 8;
      const isBelow = (other) => other.left < box.right && box.left < other.right;
      const [before, after] = [part.previousElementSibling, part.nextElementSibling].map((other) => (
        inFlow(other) && other.getBoundingClientRect().height ? other.getBoundingClientRect() : null));
      return (before && isBelow(before) && box.top >= before.top && box.top - before.bottom < least)
        || (after && !part.matches("h2, h3") && isBelow(after) && after.top >= box.top && after.top - box.bottom < least);
    }));
  };

  const markup = () => [...frame(), ...mistakes(), ...names(), ...never()];
  return { markup, focus, edges, motion, room, spread, larger, enlarged, level, columns, air };
})();
