// Front-channel logout: go on when every application has answered, or has had its time.

const LONGEST_WAIT_MS = 5000;

function goOn() {
  const target = document.getElementById("target");
  if (target) location.replace(target.href);
}

// The window's load event waits for all frames, those that were quicker than this script included.
const late = setTimeout(goOn, LONGEST_WAIT_MS);
addEventListener("load", () => {
  clearTimeout(late);
  goOn();
});
