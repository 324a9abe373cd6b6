/**
 * npm oidc-provider 9: login, consent, refresh with rotation, RP-initiated and back-channel logout, PAR, JAR, JARM,
 * DPoP, encrypted tokens, signed userinfo, introspection, revocation, device flow, client credentials.
 *
 * usage: node provider9.mjs SETTINGS.json
 */

import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import pages from "./pages.cjs";

const { settings } = pages;
// The packages are not beside this file, but where scripts/peers installed them.
const installed = createRequire(`${settings.modules}/`);
const { Provider } = await import(pathToFileURL(installed.resolve("oidc-provider-9")));

const { requireNonce, ...dPoP } = settings.features.dPoP ?? {};
const on = { enabled: true };

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  scopes: ["openid", "offline_access", "api"],
  claims: pages.CLAIMS,
  acrValues: settings.acr_values,
  conformIdTokenClaims: !settings.claims_in_id_token,
  cookies: { names: pages.cookieNames(), keys: [randomBytes(32).toString("base64url")] },
  ttl: { AccessToken: 3600, ClientCredentials: 600, IdToken: 3600, RefreshToken: 86400, ...settings.ttl },
  rotateRefreshToken: settings.rotate,
  // Many providers hand out refresh tokens unasked; this one ends with the session unless offline_access was asked for.
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: pages.findAccount,
  renderError: pages.renderError,
  // The package's own dispatcher refuses loopback addresses, and the callbacks of the tests have no other.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  features: {
    backchannelLogout: on,
    claimsParameter: on,
    clientCredentials: on,
    encryption: on,
    introspection: on,
    jwtIntrospection: on,
    jwtResponseModes: on,
    jwtUserinfo: on,
    pushedAuthorizationRequests: on,
    requestObjects: on,
    revocation: on,
    ...settings.features,
    devInteractions: { enabled: false },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: pages.userCodeInputSource,
      userCodeConfirmSource: pages.userCodeConfirmSource,
      successSource: pages.successSource,
      ...settings.features.deviceFlow,
    },
    dPoP: {
      enabled: true,
      ...dPoP,
      ...(requireNonce ? { nonceSecret: randomBytes(32), requireNonce: () => true } : undefined),
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: pages.logoutSource,
      postLogoutSuccessSource: pages.postLogoutSuccessSource,
      ...settings.features.rpInitiatedLogout,
    },
  },
});

// The hybrid flow is refused to http addresses unless told so here; the way is the package's documentation's.
const { invalidate } = provider.Client.Schema.prototype;
provider.Client.Schema.prototype.invalidate = function withoutForcedHttps(message, code) {
  if (code !== "implicit-force-https") invalidate.call(this, message);
};

/** Grant everything that was asked for and is not granted yet. */
async function consent({ grantId, session, params, prompt: { details } }) {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(" "));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

const login = (name, details) => ({ login: { accountId: name, ...pages.assurance(details) } });
provider.use(pages.interactions(provider, { login, consent }));
pages.report(provider);
await pages.serve(provider);
