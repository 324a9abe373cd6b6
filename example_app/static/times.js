// The page's times, in the user's own zone and language.

import { localTime } from "./calls.js";

for (const time of document.querySelectorAll("time")) time.textContent = localTime(time.dateTime);
