"use strict";
/**
 * What the two providers have in common: their settings, their people, the pages that these see, and what is printed.
 *
 * The pages load nothing from anywhere, since the tests' browser has no network.
 */

const { once } = require("node:events");
const fs = require("node:fs");

/** The settings that the fixture wrote, from the file named on the command line; `providers.py` documents them. */
const settings = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

/** Which claims each scope asks for. */
const CLAIMS = {
  acr: null,
  auth_time: null,
  iss: null,
  sid: null,
  openid: ["sub", "amr"],
  profile: ["name", "given_name", "family_name", "preferred_username", "locale"],
  email: ["email", "email_verified"],
  roles: ["roles"],
};

/** Whoever types a name is that person; the settings say more about some, or something else. */
function findAccount(_ctx, sub) {
  const said = {
    name: sub,
    preferred_username: sub,
    email: `${sub}@example.org`,
    email_verified: true,
    ...settings.people[sub],
  };
  return { accountId: sub, claims: async () => ({ sub, ...said }) };
}

/** Cookies are not kept apart by port, so that several providers on one host need names of their own. */
function cookieNames() {
  const names = ["session", "interaction", "resume", "state"];
  return Object.fromEntries(names.map((name) => [name, `_${name}_${settings.port}`]));
}

const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

function page(title, body) {
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>${escaped(title)}</title></head>
<body><main><h1>${escaped(title)}</h1>
${body}
</main></body>
</html>
`;
}

function show(ctx, title, body) {
  ctx.type = "html";
  ctx.body = page(title, body);
}

const showLogin = (ctx, hint) =>
  show(
    ctx,
    "Log in",
    `<form method="post">
<label>Name <input name="login" value="${escaped(hint ?? "")}" required autofocus autocomplete="off"></label>
<button type="submit">Log in</button>
<button type="submit" name="cancel" value="yes" formnovalidate>Cancel</button>
</form>`,
  );

const showConsent = (ctx, clientId, scope) =>
  show(
    ctx,
    "Allow access",
    `<p>${escaped(clientId)} asks for: ${escaped(scope)}</p>
<form method="post">
<button type="submit">Allow</button>
<button type="submit" name="cancel" value="yes">Cancel</button>
</form>`,
  );

/** The pages around the provider's own forms, each of which is a form without its buttons. */
const logoutSource = async (ctx, form) =>
  show(
    ctx,
    "Log out",
    `${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes">Log out</button>
<button type="submit" form="op.logoutForm">Stay logged in</button>`,
  );
const postLogoutSuccessSource = async (ctx) => show(ctx, "Logged out", "<p>You are logged out here.</p>");
const userCodeInputSource = async (ctx, form, _out, error) =>
  show(
    ctx,
    "Connect a device",
    `${error ? `<p role="alert">${escaped(error.message)}</p>` : ""}
${form}
<button type="submit" form="op.deviceInputForm">Continue</button>`,
  );
const userCodeConfirmSource = async (ctx, form, client, _device, userCode) =>
  show(
    ctx,
    "Connect this device?",
    `<p>${escaped(client.clientId)} shows <code>${escaped(userCode)}</code></p>
${form}
<button type="submit" form="op.deviceConfirmForm">Continue</button>
<button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>`,
  );
const successSource = async (ctx) => show(ctx, "Device connected", "<p>You can close this page.</p>");
const renderError = async (ctx, out) =>
  show(ctx, "Error", `<p>${escaped(out.error)}: ${escaped(out.error_description ?? "")}</p>`);

/** The fields of a form that a browser sent. */
async function sentForm(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

/**
 * Show the pages of logging in and consenting, and take what the person answers.
 *
 * `login(name, details)` and `consent(details)` make the result that this version of the provider wants.
 */
function interactions(provider, { login, consent }) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return next();
    const details = await provider.interactionDetails(ctx.req, ctx.res);
    const { prompt, params } = details;
    const finish = (result, options) => provider.interactionFinished(ctx.req, ctx.res, result, options);
    if (ctx.method === "POST") {
      const form = await sentForm(ctx.req);
      if (form.get("cancel")) {
        const error = { error: "access_denied", error_description: "the person refused" };
        return finish(error, { mergeWithLastSubmission: false });
      }
      if (prompt.name === "login") {
        return finish(login(form.get("login"), details), { mergeWithLastSubmission: false });
      }
      return finish(await consent(details), { mergeWithLastSubmission: true });
    }
    ctx.set("cache-control", "no-store");
    if (prompt.name === "login") return showLogin(ctx, params.login_hint);
    if (settings.consent === "automatic") return finish(await consent(details), { mergeWithLastSubmission: true });
    return showConsent(ctx, params.client_id, params.scope);
  };
}

/** How the person logged in, which the ID token repeats. */
function assurance({ params }) {
  const wanted = (params.acr_values ?? "").split(" ").find((value) => settings.acr_values.includes(value));
  return { amr: ["pwd"], ...(wanted === undefined ? undefined : { acr: wanted }) };
}

/** Print what happened as one line of JSON each, for `Peer.wait_for`. No token is among it. */
function report(provider) {
  const say = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
  const why = (error) => ({
    error: error.error ?? error.name,
    description: error.error_description ?? error.message,
    detail: error.error_detail ?? (error.expose ? undefined : error.stack),
  });
  const failures = ["authorization", "pushed_authorization_request", "device_authorization", "grant", "userinfo"];
  failures.push("introspection", "revocation", "end_session", "end_session_confirm", "check_session_origin");
  for (const name of failures) {
    provider.on(`${name}.error`, (_ctx, error) => say(`${name}.error`, why(error)));
  }
  provider.on("server_error", (_ctx, error) => say("server_error", why(error)));
  provider.on("authorization.success", (ctx) => say("authorization.success", { client: ctx.oidc.client?.clientId }));
  provider.on("grant.success", (ctx) => {
    say("grant.success", { client: ctx.oidc.client.clientId, grant_type: ctx.oidc.params.grant_type });
  });
  provider.on("grant.revoked", () => say("grant.revoked"));
  provider.on("end_session.success", () => say("end_session.success"));
  provider.on("backchannel.success", (_ctx, client) => say("backchannel.success", { client: client.clientId }));
  provider.on("backchannel.error", (_ctx, error, client) => {
    say("backchannel.error", { client: client.clientId, ...why(error) });
  });
}

/** Listen, say so, and end when asked to or when whoever started us is gone. */
async function serve(provider) {
  const server = provider.listen(settings.port, "127.0.0.1");
  await once(server, "listening");
  // A closed pipe is all that a parent leaves behind that was killed.
  process.stdin.on("end", () => process.exit(0)).resume();
  process.on("SIGTERM", () => process.exit(0));
  console.log(`ready ${settings.issuer}`);
}

module.exports = {
  settings,
  CLAIMS,
  findAccount,
  cookieNames,
  logoutSource,
  postLogoutSuccessSource,
  userCodeInputSource,
  userCodeConfirmSource,
  successSource,
  renderError,
  interactions,
  assurance,
  report,
  serve,
};
