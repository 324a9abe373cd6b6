// Clicking the QR code hands it to the window of the demo phone with ID card: what a camera does. The widget needs none of
// this. The link travels in the fragment, because a part of it is a secret that no server may see.

const { phone } = document.querySelector("useid-eid").dataset;
const note = document.getElementById("qr-sent");

document.addEventListener("useid-qr-click", ({ detail }) => {
  if (!phone) return;
  open(`${phone}#link=${encodeURIComponent(detail.qrData)}`, "useid-eid-phone");
  note.textContent = note.dataset.text;
});
