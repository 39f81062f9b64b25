// What the pages can do where a script runs: search while somebody types, renew what changes by itself, copy. Each works without.

const typingMs = 150;
const fragmentMs = 10_000;

for (const button of document.querySelectorAll("[data-copy]")) offerCopy(button);
for (const form of document.querySelectorAll("form[data-search]")) searchWhileTyping(form);
for (const region of document.querySelectorAll("[data-live]")) keepFresh(region);

/** @param {HTMLButtonElement} button */
function offerCopy(button) {
  button.hidden = false;
  const words = button.firstChild;
  button.addEventListener("click", async () => {
    const isCopied = await copy(button.dataset.copy);
    words.data = isCopied ? "Copied" : "Not copied";
    setTimeout(() => (words.data = "Copy"), 1500);
  });
}

/** Browsers lend the clipboard to pages that came by https only; the older way works for the others. */
async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted: the older way may be.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

/** @param {HTMLFormElement} form */
function searchWhileTyping(form) {
  const region = form.dataset.search;
  const status = document.getElementById(`${region}-status`);
  let timer;
  let asking = new AbortController();
  const search = async () => {
    asking.abort();
    asking = new AbortController();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const address = `${form.getAttribute("action")}${query.size > 0 ? `?${query}` : ""}`;
    query.set("part", region);
    const fresh = await fragment(`${form.getAttribute("action")}?${query}`, asking.signal);
    if (!fresh) return;
    document.getElementById(region).replaceWith(fresh);
    status.textContent = fresh.dataset.status;
    history.replaceState(null, "", address);
    for (const button of fresh.querySelectorAll("[data-copy]")) offerCopy(button);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, typingMs);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    void search(); // Never rejects.
  });
}

/** Asked again after each answer, while somebody can see it. @param {HTMLElement} region */
function keepFresh(region) {
  const everyMs = Number(region.dataset.every);
  const renew = async () => {
    // What somebody stands on with the keyboard stays where it is.
    if (!document.hidden && !region.contains(document.activeElement)) {
      const fresh = await fragment(region.dataset.live, new AbortController().signal);
      if (fresh) region.replaceChildren(...fresh.parentNode.childNodes);
    }
    setTimeout(renew, everyMs);
  };
  setTimeout(renew, everyMs);
}

/** The first element of a part of a page; undefined when it cannot be had: what is shown stays. */
async function fragment(address, signal) {
  try {
    const answer = await fetch(address, { signal: AbortSignal.any([signal, AbortSignal.timeout(fragmentMs)]), redirect: "error" });
    if (!answer.ok) return undefined;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.body.firstElementChild ?? undefined;
  } catch {
    // Away, or asked anew meanwhile.
    return undefined;
  }
}
