/** About the panel: the version, the documents of the gateway, and the licences of libraries. */

import { session } from "../session.js";
import { h } from "../vendor/preact.mjs";
import { Fact } from "./parts.js";

export const VERSION = document.querySelector('meta[name="scalegate-version"]').content;

/** A browser sends no key with a link, so this one is good where none is needed. */
export const metricsAreOpen = () => session.caller?.anonymous === true;

export const AboutPage = () =>
  h("div", { class: "page about" },
    h("h1", { tabIndex: -1 }, "About scalegate"),
    h("section", { class: "card", "aria-labelledby": "about-gateway" },
      h("h2", { id: "about-gateway" }, "Gateway"),
      h("dl", null,
        h(Fact, { name: "Version" }, VERSION),
        h(Fact, { name: "API documentation" }, h("a", { href: "/docs/" }, "Swagger UI"), ", ",
          h("a", { href: "/openapi.json" }, "OpenAPI document")),
        h(Fact, { name: "Metrics" }, metricsAreOpen() ? h("a", { href: "/metrics" }, "/metrics") : h("code", null, "/metrics"),
          ", for Prometheus", !metricsAreOpen() && "; with a key or --open-metrics"))),
    h("section", { class: "card", "aria-labelledby": "about-libraries" },
      h("h2", { id: "about-libraries" }, "Libraries of this panel"),
      h("dl", null,
        h(Fact, { name: "Preact" }, "draws the pages. ", h("a", { href: "/panel/vendor/preact.LICENSE.txt" }, "Preact licence (MIT)")),
        h(Fact, { name: "uPlot" }, "draws the plots. ", h("a", { href: "/panel/vendor/uPlot.LICENSE.txt" }, "uPlot licence (MIT)")))));
