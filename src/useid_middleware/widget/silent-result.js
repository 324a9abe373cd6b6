/** The end of a renewal in an iframe: tells the session monitor around it how it went. */

const { outcome, sessionState } = document.querySelector("[data-outcome]").dataset;
window.parent.postMessage({ useid: "renewed", outcome, sessionState }, location.origin);
