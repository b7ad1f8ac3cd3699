"""Which names hold secrets: `dbPassword`, `X-Api-Key` and `AWS_SESSION_TOKEN`, in any case style.

A name is split into words where its case, a digit or a separator says so. Long words are also found inside words written
together (`accesstoken`). Names that only describe a secret (`token_count`, `password_policy`) are shown. Fields
of pydantic models that are declared as `SecretStr`, `SecretBytes` or `Secret[...]` count as well.
"""

import re
from functools import lru_cache
from typing import Any

ISSUERS = (
    "stripe", "openai", "anthropic", "sendgrid", "twilio", "mailgun", "datadog", "algolia", "google", "maps", "azure", "cosmos",
    "aws", "gcp", "github", "gitlab", "slack", "firebase", "fcm", "supabase", "mapbox", "cloudflare", "pagerduty", "sentry",
)  # fmt: skip
"""Services that give out keys: `stripeKey` is one, and `sort_key` is not."""

DEFAULT_NAMES = frozenset(
    {
        # passwords
        "password", "passwd", "passphrase", "passcode", "pass", "pwd", "psw", "pw", "dbpw", "userpw", "pgpass", "psk",
        "passwort", "kennwort", "contraseña", "contrasena", "mot de passe", "senha", "wachtwoord", "passord", "lösenord",
        "heslo", "hasło", "haslo", "пароль", "密码", "密碼", "パスワード", "비밀번호",
        # secrets and keys
        "secret", "api key", "private key", "access key", "secret key", "encryption key", "signing key", "master key",
        "ssh key", "auth key", "hmac key", "shared key", "storage key", "account key", "license key", "service key", "pgp key",
        "gpg key", "aes key", "rsa key", "data key", "jwk", "hmac", "pem", "pfx", "keytab", "deploy key", "client key",
        "consumer key", "app key", "application key", "subscription key", "server key", "session key", "unseal key", "vault key",
        "root key", "decryption key", "wrapping key", "cipher key", "symmetric key", "fernet key", "tls key", "ssl key",
        "priv key", "sec key", "plaintext key", "key material", "wallet key", "kubeconfig",
        # tokens and sessions
        "token", "jwt", "bearer", "authorization", "auth", "oauth", "cookie", "session id", "sess id", "sid", "sas",
        "credential", "cred", "xsrf", "csrf", "pat", "nonce secret", "authorization code", "auth code", "code verifier",
        "device code", "client assertion", "saml response", "saml assertion", "webhook url", "slack webhook", "discord webhook",
        "teams webhook", "magic link", "reset link",
        # one-time codes and recovery
        "otp", "totp", "mfa code", "tan", "pin", "one time code", "verification code", "security code", "recovery code",
        "login code", "sms code", "email code", "two factor code", "2fa code", "confirmation code", "activation code",
        "unlock code", "access code", "reset code", "pairing code", "backup code", "recovery phrase", "seed words",
        "wallet seed", "challenge answer", "recovery key", "seed phrase", "mnemonic", "security answer", "pin code", "pin block",
        # payment and identity
        "card number", "card no", "card num", "cc number", "cc num", "credit card", "debit card", "card pan", "pan", "cvv", "cvc",
        "csc", "cvn", "card code", "iban", "account number", "routing number", "sort code", "bank account", "ssn",
        "social security", "national id", "tax id", "passport number", "passport no", "drivers license", "driver license",
        "card verification", "cv2", "track data", "track 1 data", "track 2 data", "track2", "insurance number", "tax number", "nino",
        "aadhaar", "cpf",
        # connections
        "connection string", "conn string", "conn str", "dsn", "amz signature", "amz credential", "goog signature", "goog credential",
        *(f"{issuer} key" for issuer in ISSUERS),
    }
)  # fmt: skip
"""Names whose values are hidden, as words."""

METADATA = frozenset(
    {
        "count", "counts", "limit", "size", "length", "len", "type", "kind", "status", "enabled", "required", "expires",
        "expiry", "expiration", "expired", "at", "ttl", "age", "in", "endpoint", "policy", "version", "arn", "usage", "used",
        "budget", "rules", "strength", "hint", "field", "scheme", "method", "provider", "server", "issuer", "scope",
        "scopes", "format", "name", "label", "index", "created", "updated", "rotation", "brand", "country", "rate",
    }
)  # fmt: skip
"""A name whose last word is one of these describes a secret and does not hold it: `token_type`, `password_policy`."""

COUNTED = frozenset(
    {
        "max",
        "min",
        "total",
        "num",
        "n",
        "count",
        "number",
        "prompt",
        "completion",
        "input",
        "output",
        "next",
        "continuation",
        "page",
    }
)
"""A name with one of these before `token` or `tokens` is a count or a position: `max_tokens`, `next_token`."""

HARMLESS = re.compile(
    r"secretar|tokeni[sz]|authori?[sz]ed|authors?(?![a-z])|passen|passag|passport(?!n)|compass|bypass|passed|passing"
)
"""Longer words that contain a secret's name by chance."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_MAX_NAME = 256
_MIN_INSIDE = 5
"""Shorter names are found as whole words only: `pin` is not in `shipping`."""


class SecretNames:
    """Recognizes names whose values are secret.

    Args:
        names: The names, as words in lower case (`api key`). Other case styles are converted.
    """

    def __init__(self, names: frozenset[str]) -> None:
        joined = {"".join(words(name)) for name in names} - {""}
        self._whole = joined | {f"{name}s" for name in joined}
        inside = sorted((name for name in joined if len(name) >= _MIN_INSIDE), key=len, reverse=True)
        self._inside = re.compile("|".join(map(re.escape, inside)) or r"(?!)")
        self.hides = lru_cache(maxsize=4096)(self._hides)

    def _hides(self, name: str) -> bool:
        found = words(name) if len(name) <= _MAX_NAME else ()
        if not found:
            return False
        if len(found) > 1 and found[-1] in METADATA:
            return False
        if found[-1] in ("token", "tokens") and not COUNTED.isdisjoint(found):  # pyright: ignore[reportGeneralTypeIssues]
            return False
        joined = "".join(found)
        if joined in self._whole or not self._whole.isdisjoint(found):
            return True
        return self._inside.search(HARMLESS.sub(" ", joined)) is not None


def words(name: str) -> tuple[str, ...]:
    """Split a name of any case style into lower-case words."""
    return tuple(part.lower() for part in _WORD.findall(name))


def secret_fields(annotation: Any) -> frozenset[str]:
    """Return the names of a pydantic model's secret fields, at any depth; none for other annotations."""
    found: set[str] = set()
    seen: set[int] = set()
    pending = [annotation]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        pending.extend(getattr(current, "__args__", ()))
        fields = getattr(current, "model_fields", None)
        if not isinstance(fields, dict):
            continue
        for name, info in fields.items():
            inner = getattr(info, "annotation", None)
            pending.append(inner)
            if _is_secret(inner):
                found |= {name, *(alias for alias in (getattr(info, "alias", None),) if isinstance(alias, str))}
    return frozenset(found)


def _is_secret(annotation: Any) -> bool:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return any(hasattr(candidate, "get_secret_value") for candidate in candidates)
