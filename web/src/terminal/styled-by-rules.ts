// The Content-Security-Policy allows no style inside the document, and xterm.js writes its own in two ways: the text of
// style elements, and style attributes of spans. While a terminal is shown, both go by the object model, which the policy
// allows: what is written into a style element becomes a sheet of the document, and an attribute becomes properties.
// xterm.js makes elements by the global document whatever it is given, so that is where they are caught.

/** Answers what undoes it and takes the sheets away. */
export function styledByRules(page: Document): () => void {
  const sheets = new Set<CSSStyleSheet>();
  const create = page.createElement.bind(page);

  function made(name: string, options?: ElementCreationOptions): HTMLElement {
    if (name === "style") return sheeted(create("template"));
    const element = create(name, options);
    return name === "span" ? propertied(element) : element;
  }

  /** Stands where the style element would: an empty one would be complained about, too. */
  function sheeted(stand: HTMLElement): HTMLElement {
    const sheet = new CSSStyleSheet();
    sheets.add(sheet);
    page.adoptedStyleSheets = [...page.adoptedStyleSheets, sheet];
    Object.defineProperty(stand, "textContent", { set: (css: string) => sheet.replaceSync(css) });
    return stand;
  }

  function propertied(span: HTMLElement): HTMLElement {
    const set = span.setAttribute.bind(span);
    span.setAttribute = (name, value) => {
      if (name === "style") span.style.cssText = value;
      else set(name, value);
    };
    return span;
  }

  Object.defineProperty(page, "createElement", { configurable: true, value: made });
  return () => {
    Reflect.deleteProperty(page, "createElement");
    page.adoptedStyleSheets = page.adoptedStyleSheets.filter((sheet) => !sheets.has(sheet));
  };
}
