// Names that the theme leaves out, and what a keyboard must reach.

function nameToggles() {
  for (const toggle of document.querySelectorAll("nav details > summary")) {
    const link = toggle.closest("li").querySelector("a");
    toggle.setAttribute("aria-label", `Pages of ${link.textContent.trim()}`);
  }
}

// A name in a title may break behind a dot or an underscore, and before a capital.
function breakTitle() {
  const text = document.querySelector("h1")?.firstChild;
  if (text?.nodeType !== Node.TEXT_NODE) return;
  const [first, ...rest] = text.data.split(/(?<=\w[._])(?=\w)|(?<=[a-z])(?=[A-Z])/);
  text.replaceWith(first, ...rest.flatMap((part) => [document.createElement("wbr"), part]));
}

function nameSearchByItsText() {
  // The theme's label lacks the keys that the button shows. A phone shows no text at all.
  for (const button of document.querySelectorAll("button.search-button-field, button.search-button")) {
    button.setAttribute("aria-label", button.textContent.trim().replace(/\s+/g, " ") || "Search");
  }
}

function reachWidePictures() {
  for (const frame of document.querySelectorAll(".wide-picture")) {
    if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
    else frame.removeAttribute("tabindex");
  }
}

document.addEventListener("DOMContentLoaded", () => {
  nameToggles();
  breakTitle();
  nameSearchByItsText();
});
for (const event of ["load", "resize"]) window.addEventListener(event, reachWidePictures);
