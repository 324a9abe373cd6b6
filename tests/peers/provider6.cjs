"use strict";
/**
 * npm oidc-provider 6, for what later versions have no more: front-channel logout and the check-session iframe.
 *
 * usage: node provider6.cjs SETTINGS.json
 */

const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const { createRequire } = require("node:module");

const pages = require("./pages.cjs");

const { settings } = pages;
// The packages are not beside this file, but where scripts/peers installed them.
const installed = createRequire(`${settings.modules}/`);
const { Provider } = installed("oidc-provider-6");

const on = { enabled: true };

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  claims: pages.CLAIMS,
  acrValues: settings.acr_values,
  conformIdTokenClaims: !settings.claims_in_id_token,
  cookies: {
    names: pages.cookieNames(),
    keys: [randomBytes(32).toString("base64url")],
    // The package's "none" needs https. Two ports of one host are one site, so that the iframe gets these as well.
    long: { httpOnly: true, overwrite: true, sameSite: "lax" },
    short: { httpOnly: true, overwrite: true, sameSite: "lax" },
  },
  ttl: { AccessToken: 3600, IdToken: 3600, RefreshToken: 86400, ...settings.ttl },
  rotateRefreshToken: settings.rotate,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: pages.findAccount,
  renderError: pages.renderError,
  clientBasedCORS: () => false,
  features: {
    backchannelLogout: { enabled: true, ack: "draft-06" },
    claimsParameter: on,
    encryption: on,
    frontchannelLogout: { enabled: true, ack: "draft-04" },
    introspection: on,
    jwtUserinfo: on,
    revocation: on,
    sessionManagement: { enabled: true, ack: "draft-30" },
    ...settings.features,
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: pages.logoutSource,
      postLogoutSuccessSource: pages.postLogoutSuccessSource,
      ...settings.features.rpInitiatedLogout,
    },
  },
});

const { invalidate } = provider.Client.Schema.prototype;
provider.Client.Schema.prototype.invalidate = function withoutForcedHttps(message, code) {
  if (code !== "implicit-force-https") invalidate.call(this, message);
};

// The page of the check-session iframe loads SHA-256 and a polyfill of fetch from elsewhere. Browsers have fetch.
const sha256 = fs.readFileSync(installed.resolve("jssha/sha256"), "utf8");
const loaded = /<script [^>]*src="https:[^>]*><\/script>\s*/g;
provider.use(async (ctx, next) => {
  await next();
  if (ctx.method !== "GET" || ctx.path !== "/session/check") return;
  ctx.body = ctx.body.replace(loaded, "").replace("</head>", () => `<script>${sha256}</script>\n</head>`);
});

const login = (name, details) => ({ login: { account: name, ...pages.assurance(details) } });
const consent = async () => ({ consent: { rejectedScopes: [], rejectedClaims: [] } });
provider.use(pages.interactions(provider, { login, consent }));
pages.report(provider);
pages.serve(provider);
