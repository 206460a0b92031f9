"""
Fields that applications believe, because what stood before them elsewhere set them: a CDN, a load balancer, a proxy
that signs people in.

The edge is none of these, so from a visitor each is a claim that nobody has checked: whose address it is, who is signed
in, which certificate was shown, which path was meant. An application that was moved behind the edge goes on believing
them. They are dropped unless `strip` in edge.yaml's `forwarding` says otherwise. No name is here that programs of
visitors have a use for of their own, and none that only traces (`traceparent`, `X-Amzn-Trace-Id`) or counts hops
(`CDN-Loop`, `Via`).

`_` stands for `-`, a `*` for whatever follows; see `request_fields.FieldRules`.
"""

# Of those, what only proves who asks, and is the policy's to read: nobody believes it without comparing it.
CREDENTIALS = ("CF-Access-Client-Id", "CF-Access-Client-Secret")

BELIEVED = (
    # The visitor's address, as CDNs, load balancers and older proxies say it; Forwarded, X-Real-IP and X-Forwarded-*
    # are the edge's own to say, whatever the list has.
    *("CF-*", "True-Client-IP", "Fastly-*", "Akamai-*", "X-Akamai-*", "CloudFront-*", "X-Azure-*", "X-Appengine-*"),
    *("Fly-*", "X-Vercel-*", "X-NF-*", "DO-Connecting-IP", "Incap-Client-IP", "X-Sucuri-*", "EO-Connecting-IP"),
    *("Ali-CDN-Real-IP", "CDN-Real-IP", "CDN-Src-IP", "X-Envoy-*", "Client-IP", "X-Client-IP", "X-Cluster-Client-IP"),
    *("Forwarded-For", "Forwarded-For-IP", "Forwarded-Proto", "X-Forward-*", "X-Forwarded", "X-Forwarder-For"),
    *("X-Originating-IP", "X-ProxyUser-IP", "Proxy-Client-IP", "WL-Proxy-*", "X-Real-*"),
    # What was asked for, before somebody rewrote it.
    *("X-Original-*", "X-Rewrite-*", "X-Replaced-Path", "X-Override-URL", "X-WAWS-Unencoded-URL", "Disguised-Host"),
    *("X-Host", "X-HTTP-Host-Override", "X-Scheme", "X-URL-Scheme", "Front-End-HTTPS", "X-ARR-*"),
    # The certificate that a client showed; RFC 9440 §2.4 asks for the first two.
    *(
        "Client-Cert",
        "Client-Cert-Chain",
        "X-Client-Cert*",
        "X-Client-Verify",
        "X-Client-DN",
        "X-SSL-*",
        "SSL-Client-*",
    ),
    *("X-Amzn-MTLS-*", "X-TLS-Client-*"),
    # Who is signed in.
    *("Remote-*", "X-Remote-*", "X-Auth-Request-*", "X-Authenticated-*", "X-Authentik-*", "X-Webauth-*", "X-Vouch-*"),
    *("X-Pomerium-*", "X-Amzn-OIDC-*", "X-Goog-Authenticated-User-*", "X-Goog-IAP-*", "X-MS-Client-Principal*"),
    *("X-MS-Token-*", "X-Consumer-*", "X-Credential-*", "X-Anonymous-Consumer", "X-Userinfo", "OIDC-*", "Tailscale-*"),
    *("Ngrok-Auth-*", "SM-*", "OAM-*", "IV-User", "IV-Groups", "IV-Creds", "Shib-*", "$WS*"),
    # What only a server in front may tell an application server to do.
    *("X-Accel-*", "X-Sendfile-*", "X-Middleware-*"),
)
