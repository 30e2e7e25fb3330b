/** What the script sends when it asks for its page anew, so that this is no use of the session. */
export const REFRESH_HEADER = "x-refresh";

/**
 * The one script, which pages that follow what they show load. It makes no markup of text: it asks for the whole page anew, as a document that
 * the browser parses without running anything, and moves elements of it into place. So pages need no Trusted Types policy.
 */
export const SCRIPT = `"use strict";
(() => {
  const main = document.getElementById("main");
  const said = document.getElementById("said");
  const LEAST = 300, MOST_WAIT = 60000;
  let source, timer, asked = 0, wait = 2000;

  const say = (text) => { said.textContent = text; };
  const isField = (element) => element !== null && /^(?:INPUT|TEXTAREA|SELECT)$/.test(element.tagName);
  const isTouched = (field) => field.type === "checkbox" ? field.checked !== field.defaultChecked
    : "defaultValue" in field && field.value !== field.defaultValue;
  const isBusy = (region) => [...region.querySelectorAll("input, textarea, select")].some((field) => field === document.activeElement || isTouched(field));

  // Of a button: where it sends what, so that the focus never moves to one that does something else.
  const whatIs = (element) => element.id || element.getAttribute("href")
    || element.form?.getAttribute("action") + " " + (element.getAttribute("aria-label") ?? element.textContent.trim());
  const pathTo = (region) => {
    const focused = document.activeElement;
    if (focused === null || !region.contains(focused)) return undefined;
    return (next) => {
      const same = [...next.querySelectorAll(focused.tagName)].find((each) => whatIs(each) === whatIs(focused));
      (same ?? main).focus({ preventScroll: true });
    };
  };

  const warn = (region) => {
    if (region.querySelector("[data-old]") !== null) return;
    const [notice, link] = [document.createElement("p"), document.createElement("a")];
    notice.className = "notice bad";
    notice.dataset.old = "";
    notice.setAttribute("role", "alert");
    link.href = location.pathname + location.search;
    link.textContent = "Look at it again";
    notice.append("What is below has changed since it was shown, and a form rests on what it shows. ", link, ".");
    region.prepend(notice);
  };

  const replace = (old, found) => {
    if (old.isEqualNode(found)) return false;
    if (isBusy(old)) { warn(old); return false; }
    const next = document.importNode(found, true);
    const focus = pathTo(old);
    const opened = [...old.querySelectorAll("details")].map(({ open }) => open);
    next.querySelectorAll("details").forEach((details, at) => { details.open = opened[at] ?? details.open; });
    old.replaceWith(next);
    focus?.(next);
    return true;
  };

  const show = (page, isOwn) => {
    const found = page?.getElementById("main");
    if (!isOwn || !found) return stop("Your session has ended, or this is not for you to see any more: load the page again.");
    main.dataset.since = found.dataset.since ?? main.dataset.since;
    const [before, isQuiet] = [main.querySelector("[data-says]")?.dataset.says, main.querySelector("[data-quiet]") !== null];
    let isNew = false;
    for (const old of main.querySelectorAll("[data-region]")) {
      const next = page.getElementById(old.id);
      if (next !== null && replace(old, next)) isNew = true;
    }
    const now = main.querySelector("[data-says]")?.dataset.says;
    if (isNew && !(isQuiet && now === before)) say(now ?? "The page shows what is new.");
    return true;
  };

  const refresh = (then) => {
    asked = performance.now();
    const request = new XMLHttpRequest();
    const own = location.origin + location.pathname;
    request.open("GET", location.pathname + location.search);
    request.responseType = "document";
    request.setRequestHeader("${REFRESH_HEADER}", "1");
    request.onload = () => { if (show(request.response, request.status === 200 && request.responseURL.startsWith(own))) then?.(); };
    request.onerror = () => { say("The registry does not answer: what you see may be old."); later(); };
    request.send();
  };

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(0, asked + LEAST - performance.now()));
  };
  const open = () => {
    if (document.hidden) return;
    source?.close();
    source = new EventSource("/ui/live?about=" + encodeURIComponent(main.dataset.live) + "&since=" + main.dataset.since);
    source.addEventListener("changed", soon);
    source.addEventListener("open", () => { wait = 2000; });
    source.addEventListener("error", () => { source.close(); later(); });
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh(open), wait);
    wait = Math.min(wait * 2, MOST_WAIT);
  };
  const stop = (why) => { source?.close(); clearTimeout(timer); main.removeAttribute("data-live"); say(why); return false; };
  const follow = () => { if (main.dataset.live !== undefined) document.hidden ? source?.close() : open(); };

  const kept = (value) => {
    try { return value === undefined ? localStorage.getItem("keys") : localStorage.setItem("keys", value); } catch { return null; }
  };
  const step = (by) => {
    const links = [...main.querySelectorAll("tbody tr")].flatMap((row) => row.querySelector("a") ?? []);
    const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };
  const press = (event) => {
    const keys = document.querySelector("input#keys");
    if (!keys?.checked || event.ctrlKey || event.altKey || event.metaKey || (isField(document.activeElement) && document.activeElement !== keys)) return;
    const target = document.querySelector('[data-key="' + CSS.escape(event.key) + '"]');
    if (target !== null) target.tagName === "A" ? target.click() : target.focus();
    else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else return;
    event.preventDefault();
  };

  const copy = async (button) => {
    const whole = button.parentElement.querySelector(".whole");
    const isCopied = await navigator.clipboard?.writeText(whole.textContent).then(() => true, () => false);
    if (!isCopied) getSelection().selectAllChildren(whole);
    const text = isCopied ? "It is copied." : "The browser lets this page copy nothing: it is selected, so copy it by the keyboard or the menu.";
    say(text);
    setTimeout(() => { if (said.textContent === text) say(""); }, 8000);
  };

  const keys = document.querySelector("input#keys");
  if (keys !== null) keys.checked = kept() !== "off";
  document.addEventListener("change", ({ target }) => { if (target.id === "keys") kept(target.checked ? "on" : "off"); });
  document.addEventListener("click", ({ target }) => { if (target.matches(".copy")) copy(target); });
  document.addEventListener("keydown", press);
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", ({ persisted }) => { if (persisted) follow(); });
  document.documentElement.dataset.scripted = "";
  follow();
})();
`;
