// Clicking the QR code hands it to the demo phone. The widget needs none of this.

import { handOver } from "./calls.js";

const note = document.getElementById("qr-sent");

document.addEventListener("useid-qr-click", ({ detail }) => {
  handOver(detail.qrData);
  note.textContent = note.dataset.text;
});
