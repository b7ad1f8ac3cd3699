"""Secrets that are recognized wherever they stand: tokens, keys and hashes by their form, cards and accounts by their check digits."""

import re
from collections.abc import Callable, Iterable

SHORTEST = 8
"""Characters of the shortest text that can be one."""

_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    # AWS access key ids
    (("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
    # The same of Alibaba and Tencent
    (("LTAI", "AKID"), r"\bLTAI[A-Za-z0-9]{16,}|\bAKID[A-Za-z0-9]{32,}"),
    # JSON web tokens, signed or encrypted
    (("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}"),
    # Source code hosts: GitHub, GitLab, Atlassian
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    (("gl",), r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[A-Za-z0-9_.-]{16,}"),
    (("ATATT3", "ATBB"), r"\bATATT3[A-Za-z0-9_=-]{40,}|\bATBB[A-Za-z0-9]{32}"),
    # Chat: Slack, Discord, Telegram
    (("xox",), r"\bxox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}"),
    (("xapp-",), r"\bxapp-\d-[A-Za-z0-9-]{10,}"),
    (("hooks.slack.com",), r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/_-]{16,}"),
    (("/api/webhooks/",), r"(?<=/api/webhooks/)\d+/[A-Za-z0-9_-]{16,}"),
    (("M", "N", "O"), r"\b[MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,}"),
    ((":AA",), r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}"),
    # Payments: Stripe, Square, Shopify
    (("_live_", "_test_"), r"\b(?:sk|rk|rzp)_(?:live|test)_[A-Za-z0-9]{10,}"),
    (("whsec_",), r"\bwhsec_[A-Za-z0-9+/=]{16,}"),
    (("sq0", "EAAA", "EAAC"), r"\bsq0(?:atp|csp)-[0-9A-Za-z_-]{20,}|\bEAA[AC][A-Za-z0-9_-]{40,}"),
    (("shpat_", "shpca_", "shppa_", "shpss_"), r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    # Google
    (("AIza",), r"\bAIza[0-9A-Za-z_-]{35}"),
    (("ya29.", "GOCSPX-", "1//0"), r"\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}|\b1//0[0-9A-Za-z_-]{30,}"),
    # Models: OpenAI, Anthropic, OpenRouter, Hugging Face
    (("sk-",), r"\bsk-(?:proj-|svcacct-|admin-|ant-(?:api|admin)\d\d-|or-v1-)?[A-Za-z0-9_-]{20,}"),
    (("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    # Mail and telephony: SendGrid, Twilio, Mailgun, Mailchimp
    (("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    (("SK",), r"\bSK[0-9a-f]{32}\b"),
    (("key-", "-us"), r"\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b"),
    # Registries: npm, PyPI, RubyGems, Docker
    (("npm_", "pypi-"), r"\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{50,}"),
    (("rubygems_", "dckr_pat_"), r"\brubygems_[a-f0-9]{40,}|\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    # Infrastructure: DigitalOcean, Vault, Databricks, Terraform, Doppler, Tailscale, Grafana, New Relic
    (("_v1_",), r"\bdo[opr]_v1_[a-f0-9]{40,}"),
    (("hvs.", "hvb."), r"\bhv[sb]\.[A-Za-z0-9_-]{20,}"),
    (("dapi",), r"\bdapi[0-9a-f]{32}\b"),
    ((".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}"),
    (("dp.",), r"\bdp\.(?:pt|st|ct|sa)\.[A-Za-z0-9._-]{30,}"),
    (("tskey-",), r"\btskey-[a-z]+-[A-Za-z0-9-]{16,}"),
    (("glsa_", "NRAK-"), r"\bglsa_[A-Za-z0-9_]{32,}|\bNRAK-[A-Z0-9]{27}\b"),
    # Tools: Asana, Postman, Notion, Linear
    (("1/",), r"(?<![\w/])1/\d{12,20}:[a-f0-9]{32}"),
    (("PMAK-",), r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    (("ntn_", "secret_", "lin_api_"), r"\bntn_[A-Za-z0-9]{40,}|\bsecret_[A-Za-z0-9]{40,}|\blin_api_[A-Za-z0-9]{30,}"),
    # Keys
    (
        ("PRIVATE KEY",),
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    (("AGE-SECRET-KEY-",), r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    # HTTP credentials
    (("earer ", "EARER "), r"(?i:\bbearer {1,4})[A-Za-z0-9._~+/=-]{8,}"),
    (
        ("asic ", "oken ", "igest ", "ASIC ", "OKEN "),
        r"(?i:\b(?:basic|token|digest) {1,4})(?=[A-Za-z._~+/-]{0,400}[0-9=_+])[A-Za-z0-9._~+/=-]{8,}",
    ),
    # URLs: user and password, or a token instead of a user
    (("://",), r"(?<=://)[^/\s:@'\"<>]{0,200}:[^/\s@'\"<>]{1,400}(?=@)|(?<=://)[A-Za-z0-9_.~%-]{20,400}(?=@)"),
    # curl -u user:password
    (("-u ", "--user "), r"(?<=-u )[^\s:'\"]{1,100}:[^\s'\"]+|(?<=--user )[^\s:'\"]{1,100}:[^\s'\"]+"),
    # Statements and commands: IDENTIFIED BY, sshpass, mysql -p
    (("IDENTIFIED BY", "identified by"), r"(?i:(?<=identified by )|(?<=identified by password ))'(?:[^']|'')*'"),
    (("sshpass",), r"(?<=sshpass -p )\S+|(?<=sshpass -p)[^\s-]\S*"),
    (("mysql", "mariadb"), r"(?<=\s-p)(?!\d+:)[^\s:=]{4,}"),
    # Oracle: user/password@host
    (("jdbc:oracle:",), r"(?<=jdbc:oracle:thin:)[^/\s:@]{1,100}/[^\s@]{1,200}(?=@)"),
    # Parameters of a URL that sign a request or log a user in
    (("sig", "key=", "code="), r"(?i:(?<=[?&]sig=)|(?<=[?&]key=)|(?<=[?&]code=))[A-Za-z0-9%+=_~.-]{16,}"),
    # Automation and mail: Zapier, Resend
    (("hooks.zapier.com",), r"(?<=hooks\.zapier\.com/hooks/catch/)[A-Za-z0-9/]{10,}"),
    (("re_",), r"\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}"),
    # US social security numbers
    (("-",), r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    (("SSN", "ssn"), r"(?i:\bssn\b\W{1,3})\d{3}[ .]\d{2}[ .]\d{4}\b"),
)
_PREFIXED = (
    r"(?<![\w+/=.-])[A-Za-z][A-Za-z0-9]{0,14}(?:[_-][A-Za-z0-9]{1,8}){0,2}[_-]"
    r"(?=[A-Za-z]{0,40}\d)(?=[A-Z0-9]{0,40}[a-z])(?=[a-z0-9]{0,40}[A-Z])[A-Za-z0-9]{31,}(?![\w/])"
)
_LONG_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    # Clouds: AWS session tokens and keys of Bedrock and MWS, Azure
    (("IQoJb3JpZ2lu", "ABSK"), r"\bIQoJb3JpZ2lu[A-Za-z0-9+/=]{40,}|\bABSK[A-Za-z0-9+/=]{60,}"),
    (("amzn.mws.",), r"\bamzn\.mws\.[0-9a-f-]{36}"),
    (("8Q~", "7Q~"), r"\b[A-Za-z0-9_.~-]{3}[78]Q~[A-Za-z0-9_.~-]{31,34}"),
    # Hosts: Fly, PlanetScale, Supabase, Vercel, Heroku, Cloudflare, Pulumi, Scalingo, Netlify
    (("fm2_", "fm1r_", "fo1_"), r"\bf(?:m1[ar]|m2|o1)_[A-Za-z0-9+/=_-]{30,}"),
    (("pscale_",), r"\bpscale_[a-z]{2,6}_[A-Za-z0-9=._-]{30,}"),
    (("sbp_", "sb_secret_"), r"\bsbp_[a-f0-9]{40}|\bsb_secret_[A-Za-z0-9_-]{20,}"),
    (("vercel_", "HRKU-"), r"\bvercel_[a-z_]{1,20}_[A-Za-z0-9_-]{20,}|\bHRKU-[A-Za-z0-9_-]{30,}"),
    (("v1.0-",), r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{100,}"),
    (("pul-", "tk-us-"), r"\bpul-[a-f0-9]{40}|\btk-us-[A-Za-z0-9_-]{40,}"),
    # Observability: LangSmith, Sentry, Honeycomb, Grafana Cloud, New Relic
    (("lsv2_",), r"\blsv2_[a-z]{2}_[a-f0-9]{32}_[a-f0-9]{6,}"),
    (("sntry",), r"\bsntry[su]_[A-Za-z0-9+/=_]{40,}"),
    (("hca", "hcx"), r"\bhc[abcmx][a-z]{2}_[a-z0-9]{50,}"),
    (("glc_", "NRI", "NRAA-"), r"\bglc_[A-Za-z0-9+/=]{32,}|\bNR(?:I[IQX]|AA|RA)-[A-Za-z0-9_-]{24,}"),
    # Payments: PayPal, Adyen, Flutterwave, Duffel, Plaid, EasyPost
    (("access_token$",), r"\baccess_token\$[a-z]{1,20}\$[a-z0-9A-Z]{13,}\$[a-f0-9]{32}"),
    (("AQE",), r"\bAQE[a-z0-9A-Z+/=]{40,}"),
    (("SECK", "duffel_"), r"\bFLWSECK(?:_TEST)?-[a-z0-9A-Z]{20,}(?:-X)?|\bduffel_(?:test|live)_[A-Za-z0-9_=-]{40,}"),
    (("access-", "EZ"), r"\baccess-(?:sandbox|development|production)-[0-9a-f-]{36}|\bEZ[AT]K[A-Za-z0-9]{54}"),
    # Tools: Airtable, Atlassian, Dropbox, Okta, Meta, Brevo, 1Password, NuGet, Typeform, ReadMe, Azure DevOps
    (("pat",), r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    (("ATCTT3",), r"\bATCTT3[A-Za-z0-9_=-]{40,}"),
    (("sl.",), r"\bsl\.(?:u\.)?[A-Za-z0-9_-]{100,}"),
    (("SSWS ", "IGQ"), r"(?<=SSWS )[A-Za-z0-9_-]{30,}|\bIGQ[A-Za-z0-9_-]{50,}"),
    (("xkeysib-", "xsmtpsib-"), r"\bx(?:key|smtp)sib-[a-f0-9]{64}-[A-Za-z0-9]{8,}"),
    (("ops_eyJ", "oy2"), r"\bops_eyJ[A-Za-z0-9+/=_-]{100,}|\boy2[a-z0-9]{43}\b"),
    (("tfp_", "rdme_", "CFPAT-"), r"\btfp_[A-Za-z0-9_.=-]{40,}|\brdme_[a-z0-9]{60,}|\bCFPAT-[A-Za-z0-9_-]{40,}"),
    ((".webhook.office.com/",), r"(?<=\.webhook\.office\.com/)webhookb2/[A-Za-z0-9/@-]{40,}"),
    # PuTTY keys, and password hashes
    (("Private-Lines:",), r"(?<=Private-Lines:).*?(?:Private-MAC: [a-f0-9]{1,80}|\Z)"),
    (("$",), r"\$(?:2[abxy]|[1567]|y|apr1|argon2i?d?|scrypt|pbkdf2[\w-]{0,20})\$[A-Za-z0-9$./,=+-]{22,}"),
    # Any other: a prefix, and at least 31 random letters of both cases and digits. Services' ids are shorter.
    (("_", "-"), _PREFIXED),
)
"""Formats of more than 36 letters, digits and signs in a row. A text without such a run, as that of a UUID, is not searched."""


Shape = tuple[tuple[str, ...], re.Pattern[str]]
"""A pattern, and literals of which a text must have one before it is searched: that is much faster than a search for a pattern."""


def compiled(shapes: Iterable[tuple[tuple[str, ...], str]], flags: re.RegexFlag = re.DOTALL) -> tuple[Shape, ...]:
    """Compile patterns, each with its literals."""
    return tuple((literals, re.compile(pattern, flags)) for literals, pattern in shapes)


def replaced(text: str, shapes: Iterable[Shape], replacement: str | Callable[[re.Match[str]], str]) -> str:
    """Replace what has one of the shapes, one after another."""
    for literals, pattern in shapes:
        for literal in literals:
            if literal in text:
                text = pattern.sub(replacement, text)
                break
    return text


_COMPILED = compiled(_SHAPES)
_COMPILED_LONG = compiled(_LONG_SHAPES)
_LONG_RUN = re.compile(r"[A-Za-z0-9_+/=$.~-]{37}")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_MANY_DIGITS = re.compile(r"\d{2}[A-Z\d -]{7,}\d{2}")
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|35\d{14}|62\d{14,17}|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}"
)
"""The numbers that card issuers use. A time in milliseconds, which begins with 1, is not among them."""


def without_shapes(text: str, hidden: str) -> str:
    """Replace what is recognized as a secret by its shape.

    Args:
        text: Any text.
        hidden: The replacement.
    """
    is_long = _LONG_RUN.search(text) is not None
    text = replaced(text, _COMPILED, hidden)
    if is_long:
        text = replaced(text, _COMPILED_LONG, hidden)
    if _MANY_DIGITS.search(text) is not None:
        text = _checked(_CARD, is_card, text, hidden)
        text = _checked(_IBAN, is_iban, text, hidden)
    return text


def is_card(text: str) -> bool:
    """Whether digits are the number of a payment card: of a known issuer, with a valid check digit."""
    digits = re.sub(r"[ -]", "", text)
    if _ISSUERS.fullmatch(digits) is None:
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN with valid check digits."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(symbol, 36)) for symbol in compact[4:] + compact[:4])) % 97 == 1


def _checked(pattern: re.Pattern[str], is_valid: Callable[[str], bool], text: str, hidden: str) -> str:
    return pattern.sub(lambda match: hidden if is_valid(match[0]) else match[0], text)
