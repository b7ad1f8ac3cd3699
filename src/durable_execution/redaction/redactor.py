"""The redaction rules: hide secrets by the name before them, by their shape, or by their type.

Everything that leaves a process or reaches a screen passes through here: replay traces, spans, exports, command output, the
debugger, and the error texts of serializers. A replay reads the recorded values, because the code needs them.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from durable_execution.redaction.marker import HIDDEN
from durable_execution.redaction.secret_names import DEFAULT_NAMES, SecretNames

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
    # Oracle: user/password@host
    (("jdbc:oracle:",), r"(?<=jdbc:oracle:thin:)[^/\s:@]{1,100}/[^\s@]{1,200}(?=@)"),
    # Parameters of a URL that sign a request or log somebody in
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


def _compiled(shapes: tuple[tuple[tuple[str, ...], str], ...]) -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    return tuple((literals, re.compile(pattern, re.DOTALL)) for literals, pattern in shapes)


_COMPILED = _compiled(_SHAPES)
_COMPILED_LONG = _compiled(_LONG_SHAPES)
_LONG_RUN = re.compile(r"[A-Za-z0-9_+/=$.~-]{37}")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_MANY_DIGITS = re.compile(r"\d{2}[A-Z\d -]{7,}\d{2}")
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|35\d{14}|62\d{14,17}|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}"
)
"""The numbers that card issuers use. A time in milliseconds, which begins with 1, is not among them."""

MAX_DEPTH = 64
_NESTED_TEXT = 4
"""How many levels of JSON within JSON strings are read."""

_ASSIGNED = re.compile(
    r"""(?P<open>\\*["'`]|--?|\b)(?P<name>(?:2(?=[fF][aA]))?(?:[^\W\d]|\$)[\w$]{0,80}(?:[-.][\w$]{1,80}){0,8})"""
    r"""(?P<separator>\\*["'`]?\]?(?:\s{0,4}(?:=>|->|:=|==?|:)\s{0,4}|,\s?(?=[bBrRuUfF]?\\*["'`])|>(?=[^<\s]))|(?<=\w)\s{1,4}(?:is|was|=)\s{1,4}(?=\S*\d)|\s{1,2}(?=\\*["'`])|\s(?=(?=[^\s,;]*\d)(?=[^\s,;]*[A-Za-z])[^\s,;]{6}))"""
)
_FLAG = re.compile(r"(?P<separator>(?<!\S)--?(?P<name>[A-Za-z][\w-]{1,80})\s{1,4})(?=[^\s-])")
_SPACED = re.compile(
    r"(?P<name>\b(?:[A-Za-z]{2,20} ){1,2}[A-Za-z]{2,20})(?P<separator>\s?[:=]\s{0,4}|\s(?:(?:is|was)\s)?(?=\\*[\"'`]))"
)
_PREFIX = re.compile(r"(?:[bBrRuUfF]{1,2}|Secret\w*\(|Sensitive\w*\()?(?=\\*[\"'`])")
_QUOTE = re.compile(r"\\*[\"'`]")
_BARE = re.compile(r"(?:[^\s,;&)}\]<>\"'`]|(?<=\w)'(?=\w)|<(?=[^/\s]+>)|(?<=\w)>(?!\S))+")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|digest|token|negotiate|apikey)\s+")
_LINE = re.compile(r"[^\r\n\"']+")
_HEADERS = frozenset({"cookie", "setcookie", "authorization", "proxyauthorization"})
_CLOSE = {"{": "}", "[": "]", "(": ")"}
_BRACKET_OR_QUOTE = re.compile(r"[{}\[\]()]|\\*[\"'`]")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}(?=[({\[])")
NEVER = frozenset({"none", "null", "true", "false", "undefined", "nan", "[]", "{}", "''", '""', HIDDEN})
"""Values that hold no secret under any name."""
_MAYBE_SECRET = re.compile(
    r"[=:@>]|[A-Za-z]\s\S{0,24}\d|\d[ -]?\d[ -]?\d[ -]?\d[ -]?\d[ -]?\d|[A-Za-z0-9_-]{16}|[\"'`]|\s(?:is|was)\s|--|(?i:basic|bearer|token|digest)\s"
)
KEY_MEMBERS = ("name", "key", "header", "field", "parameter", "variable", "Name", "Key", "ParameterKey")
VALUE_MEMBERS = ("value", "Value", "ParameterValue", "values", "Values", "secret", "data")
PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
"""The private members of a JSON web key, which has a member `kty`."""

_SHORTEST = 8
_LONG_KEY = 16


def without_shapes(text: str, hidden: str) -> str:
    """Replace what is recognized as a secret by its shape.

    Args:
        text: Any text.
        hidden: The replacement.
    """
    for literals, pattern in _COMPILED if _LONG_RUN.search(text) is None else (*_COMPILED, *_COMPILED_LONG):
        for literal in literals:  # a search for a literal is much faster than one for a pattern
            if literal in text:
                text = pattern.sub(hidden, text)
                break
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


@dataclass(frozen=True)
class Redaction:
    """Rules that hide values before they leave the process.

    Attributes:
        keys: Names whose values are hidden, as words in any case style: `api key` also hides `X-Api-Key` and `stripeApiKey`.
        patterns: Text that matches one of these is hidden anywhere, even inside longer text. None for the formats of well-known
            tokens, keys, cards and URL passwords.
    """

    keys: frozenset[str] = DEFAULT_NAMES
    patterns: tuple[re.Pattern[str], ...] | None = None
    _names: SecretNames = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", SecretNames(self.keys))

    def with_keys(self, keys: Iterable[str]) -> "Redaction":
        """Return these rules with further names added."""
        return Redaction(self.keys | frozenset(keys), self.patterns)

    def hides(self, key: str) -> bool:
        """Tell whether values under this name are hidden."""
        return self._names.hides(key)

    def value(self, value: Any) -> Any:
        """Return a JSON value with its secrets hidden. Values of pydantic's secret types are always hidden."""
        return self._value(value, 0, 0)

    def hidden_members(self, value: Mapping[Any, Any]) -> list[str]:
        """Return the members that another member says are secret, as in `{"name": "token", "value": …}` and JSON web keys."""
        if isinstance(value.get("kty"), str):
            return [member for member in PRIVATE_MEMBERS if _is_secret_value(value.get(member))]
        if not any(isinstance(name := value.get(member), str) and self.hides(name) for member in KEY_MEMBERS):
            return []
        return [member for member in VALUE_MEMBERS if _is_secret_value(value.get(member))]

    def payload(self, payload: str) -> str:
        """Return a serialized payload with its secrets hidden; unchanged if it holds none."""
        return self._payload(payload, 0, 0)

    def hidden_in(self, payload: str) -> set[str]:
        """Return the texts that the names in a serialized payload hide."""
        found: set[str] = set()
        self._collect(payload, False, found, 0)
        return found

    def _collect(self, value: Any, is_hidden: bool, found: set[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        if isinstance(value, str):
            if value.lstrip()[:1] in ("{", "["):
                with suppress(ValueError, RecursionError):
                    self._collect(json.loads(value), is_hidden, found, depth + 1)
            elif is_hidden:
                found.add(value)
        elif isinstance(value, dict):
            members = self.hidden_members(value)
            for key, item in value.items():
                self._collect(item, is_hidden or key in members or self.hides(key), found, depth + 1)
        elif isinstance(value, list):
            is_pair = len(value) == 2 and isinstance(value[0], str) and self.hides(value[0])
            for item in value[1:] if is_pair else value:
                self._collect(item, is_hidden or is_pair, found, depth + 1)

    def text(self, text: str) -> str:
        """Return any text, for example an error message or a `repr`, with its secrets hidden."""
        if _MAYBE_SECRET.search(text) is None:
            return text
        return self._shapeless(self._unassigned(text))

    def _value(self, value: Any, depth: int, nested: int) -> Any:
        if isinstance(value, str):
            return self._payload(value, depth, nested) if value else value
        if depth > MAX_DEPTH:
            return HIDDEN
        if isinstance(value, Mapping):
            return self._mapping(value, depth, nested)
        if isinstance(value, (list, tuple)):
            return self._items(value, depth, nested)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**11:
            return value if self._shapeless(str(value)) == str(value) else HIDDEN
        if isinstance(value, (bytes, bytearray)):
            return self._shapeless(bytes(value).decode("utf-8", "replace"))
        return HIDDEN if hasattr(value, "get_secret_value") else value

    def _mapping(self, value: Mapping[Any, Any], depth: int, nested: int) -> dict[Any, Any]:
        found = {
            self._key(key): HIDDEN if self._hides_item(str(key), item) else self._value(item, depth + 1, nested)
            for key, item in value.items()
        }
        found |= dict.fromkeys(self.hidden_members(value), HIDDEN)
        return found

    def _key(self, key: Any) -> Any:
        return self._shapeless(key) if isinstance(key, str) and len(key) >= _LONG_KEY else key

    def _items(self, value: "list[Any] | tuple[Any, ...]", depth: int, nested: int) -> list[Any]:
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str) and self.hides(value[0]):
            return [value[0], HIDDEN]
        return [self._value(item, depth + 1, nested) for item in value]

    def _hides_item(self, key: str, item: Any) -> bool:
        return _is_secret_value(item) and self.hides(key)

    def _payload(self, payload: str, depth: int, nested: int) -> str:
        if (
            nested < _NESTED_TEXT
            and payload.lstrip()[:1] in ("{", "[", '"')
            and payload.rstrip()[-1:] in ("}", "]", '"')
        ):
            try:
                parsed = json.loads(payload)
            except (ValueError, RecursionError):
                return self.text(payload)
            shown = self._value(parsed, depth + 1, nested + 1)
            return payload if shown == parsed else json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
        return self.text(payload)

    def _shapeless(self, text: str) -> str:
        """Hide what is recognized by its shape."""
        if len(text) < _SHORTEST:
            return text
        if self.patterns is None:
            return without_shapes(text, HIDDEN)
        for pattern in self.patterns:
            text = pattern.sub(HIDDEN, text)
        return text

    def _unassigned(self, text: str) -> str:
        """Hide what follows a secret's name: `password=…`, `"token": …`, `Authorization: Bearer …`, `--api-key …`."""
        parts: list[str] = []
        done = 0
        for pattern in (_ASSIGNED, _SPACED, _FLAG):
            parts, done = [], 0
            position = 0
            while (match := pattern.search(text, position)) is not None:
                position = match.end("name") if match.end("name") > match.start() else match.end()
                if not self.hides(match["name"]):
                    continue
                start = match.end("separator")
                end = _value_end(text, start, match["name"])
                if match["name"].endswith(".py") and text[start:end].isdecimal():
                    continue  # a place in the source, such as `tokens.py:12`
                if end <= start or text[start:end].strip("\\\"'`").lower() in NEVER:
                    continue
                quoted = _QUOTE.match(text, start + len((_PREFIX.match(text, start) or [""])[0]))
                opening = text[start : quoted.end()] if quoted else ""
                closing = (
                    text[end - (quoted.end() - quoted.start()) : end]
                    if quoted and _ends_with(text, end, quoted[0])
                    else ""
                )
                parts += (text[done:start], opening, HIDDEN, closing)
                done = position = end
            text = "".join(parts) + text[done:]
        return text


def _is_secret_value(item: Any) -> bool:
    """Whether a value can be a secret. None, booleans and empty values tell nothing."""
    return item is not None and not isinstance(item, bool) and item not in ("", [], {}, ())


def _ends_with(text: str, end: int, quote: str) -> bool:
    return text[end - len(quote) : end] == quote


def _value_end(text: str, start: int, name: str) -> int:
    """Where the value ends that begins at a position."""
    prefix = _PREFIX.match(text, start)
    at = prefix.end() if prefix else start
    quote = _QUOTE.match(text, at)
    if quote is not None:
        return _quoted_end(text, quote)
    call = _CALL.match(text, at)
    if call is not None or text[at : at + 1] in _CLOSE:
        return _bracket_end(text, at)
    if "".join(re.findall(r"[a-z]", name.lower())) in _HEADERS:
        line = _LINE.match(text, at)
        return line.end() if line else at
    scheme = _SCHEME.match(text, at)
    bare = _BARE.match(text, scheme.end() if scheme else at)
    return bare.end() if bare else at


def _quoted_end(text: str, quote: "re.Match[str]") -> int:
    """The end of a quoted value. In text that is itself quoted, both quotes have the same number of backslashes."""
    mark = quote[0]
    position = quote.end()
    while (found := text.find(mark, position)) >= 0:
        slashes = 0
        while found - slashes - 1 >= quote.end() and text[found - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0 if len(mark) == 1 else slashes == 0:
            return found + len(mark)
        position = found + len(mark)
    return len(text)


def _bracket_end(text: str, start: int) -> int:
    """The end of a bracketed value. Brackets in quoted text do not count."""
    depth = 0
    position = start
    while (match := _BRACKET_OR_QUOTE.search(text, position)) is not None:
        symbol, position = match[0], match.end()
        if symbol in _CLOSE:
            depth += 1
        elif symbol in _CLOSE.values():
            depth -= 1
            if depth <= 0:
                return position
        else:
            position = _quoted_end(text, match)
    return len(text)
