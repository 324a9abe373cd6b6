// What may be asked of a card, by the names that TR-03110 gives the rights, in words for people.

const en = {
  AGE_VERIFICATION: "Age check: at least {age} years old",
  COMMUNITY_ID_VERIFICATION: "Place check: living in the community {community}",
  RESTRICTED_IDENTIFICATION: "Pseudonym for this service",
  PRIVILEGED_TERMINAL: "Privileged terminal",
  CAN_ALLOWED: "On-site reading with the card’s number (CAN)",
  PIN_MANAGEMENT: "PIN management",
  READ_DG1: "Type of document",
  READ_DG2: "Issuing country",
  READ_DG3: "Valid until",
  READ_DG4: "Given names",
  READ_DG5: "Family name",
  READ_DG6: "Religious or artistic name",
  READ_DG7: "Doctoral degree",
  READ_DG8: "Date of birth",
  READ_DG9: "Place of birth",
  READ_DG10: "Nationality",
  READ_DG11: "Sex",
  READ_DG12: "Optional data",
  READ_DG13: "Birth name",
  READ_DG14: "Written signature",
  READ_DG15: "Date of issuance",
  READ_DG16: "Data group 16",
  READ_DG17: "Address",
  READ_DG18: "Number of the community of residence",
  READ_DG19: "Residence permit, supplementary conditions I",
  READ_DG20: "Residence permit, supplementary conditions II",
  READ_DG21: "Telephone number",
  READ_DG22: "E-mail address",
};

const de = {
  AGE_VERIFICATION: "Altersprüfung: mindestens {age} Jahre alt",
  COMMUNITY_ID_VERIFICATION: "Wohnortprüfung: wohnhaft in der Gemeinde {community}",
  RESTRICTED_IDENTIFICATION: "Pseudonym für diesen Dienst",
  PRIVILEGED_TERMINAL: "Berechtigtes Terminal",
  CAN_ALLOWED: "Vor-Ort-Auslesen mit der Kartennummer (CAN)",
  PIN_MANAGEMENT: "PIN-Verwaltung",
  READ_DG1: "Dokumentenart",
  READ_DG2: "Ausstellendes Land",
  READ_DG3: "Gültig bis",
  READ_DG4: "Vornamen",
  READ_DG5: "Familienname",
  READ_DG6: "Ordens- oder Künstlername",
  READ_DG7: "Doktorgrad",
  READ_DG8: "Geburtsdatum",
  READ_DG9: "Geburtsort",
  READ_DG10: "Staatsangehörigkeit",
  READ_DG11: "Geschlecht",
  READ_DG12: "Weitere Daten",
  READ_DG13: "Geburtsname",
  READ_DG14: "Unterschrift",
  READ_DG15: "Ausstellungsdatum",
  READ_DG16: "Datengruppe 16",
  READ_DG17: "Anschrift",
  READ_DG18: "Amtlicher Gemeindeschlüssel des Wohnorts",
  READ_DG19: "Aufenthaltstitel, Nebenbestimmungen I",
  READ_DG20: "Aufenthaltstitel, Nebenbestimmungen II",
  READ_DG21: "Telefonnummer",
  READ_DG22: "E-Mail-Adresse",
};

const NAMES = { en, de };

/** A right's name in words; one without words is shown as it is called. */
export function rightName(language, right, { age, communityId }) {
  const text = NAMES[language][right] ?? right;
  return text.replace("{age}", age ?? "?").replace("{community}", communityId || "?");
}
