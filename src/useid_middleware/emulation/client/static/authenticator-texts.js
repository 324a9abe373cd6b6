// What the phone's window for passkeys says, in English and German.

const en = {
  waitingTitle: "Your phone",
  waitingText: "Waiting for the page that has opened this window.",
  askTitle: "A computer nearby asks for your passkey",
  askHint: "Agree only if you are logging in there yourself.",
  asker: "Page that asks",
  inside: "{origin} inside {topOrigin}",
  site: "Passkey of",
  account: "Account",
  agree: "Use the passkey",
  close: "Close",
  doneTitle: "Done",
  doneText: "The page goes on in its own window.",
  failedTitle: "That did not work",
  errors: {
    not_asked: "No page has opened this window to ask for a passkey.",
    network: "The phone’s own program does not answer. Does the demo still run?",
    authenticator_no_credential: "This phone has no passkey that the page would take. It forgets them when the demo ends.",
    authenticator_rp_id_refused: "The page asks for a passkey of another website.",
    authenticator_origin_refused: "The page asks from an address that passkeys are not for.",
    authenticator_options_malformed: "The page asks for something that makes no sense.",
    other: "The passkey could not be used.",
  },
};

const de = {
  waitingTitle: "Ihr Telefon",
  waitingText: "Wartet auf die Seite, die dieses Fenster geöffnet hat.",
  askTitle: "Ein Rechner in der Nähe fragt nach Ihrem Passkey",
  askHint: "Stimmen Sie nur zu, wenn Sie sich dort gerade selbst anmelden.",
  asker: "Seite, die fragt",
  inside: "{origin} innerhalb von {topOrigin}",
  site: "Passkey von",
  account: "Konto",
  agree: "Passkey benutzen",
  close: "Schließen",
  doneTitle: "Fertig",
  doneText: "Die Seite macht in ihrem eigenen Fenster weiter.",
  failedTitle: "Das hat nicht geklappt",
  errors: {
    not_asked: "Keine Seite hat dieses Fenster geöffnet, um nach einem Passkey zu fragen.",
    network: "Das Programm hinter diesem Telefon antwortet nicht. Läuft die Demo noch?",
    authenticator_no_credential: "Dieses Telefon hat keinen Passkey, den die Seite nähme. Am Ende der Demo vergisst es alle.",
    authenticator_rp_id_refused: "Die Seite fragt nach einem Passkey einer anderen Website.",
    authenticator_origin_refused: "Die Seite fragt von einer Adresse aus, für die es keine Passkeys gibt.",
    authenticator_options_malformed: "Die Seite fragt nach etwas, das keinen Sinn ergibt.",
    other: "Der Passkey ließ sich nicht benutzen.",
  },
};

/** The texts in `language`: `en` or `de`. */
export function windowTexts(language) {
  return language === "de" ? de : en;
}
