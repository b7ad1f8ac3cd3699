"""Versions and aliases of functions: which version an invocation runs, and the operations that publish and describe them.

An execution keeps the version it started on. Versions with code of their own are registered with the function; a version that
is published through the API runs the function's current code.
"""

import inspect
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from durable_execution.local.clocks import moment
from durable_execution.local.function_registry import LATEST, Function, FunctionProfile, Functions, Target
from durable_execution.local.queries import make_marker, page_size, read_marker
from durable_execution.local.rules.api_errors import ApiError, fault, invalid
from durable_execution.local.rules.limits import EngineLimits
from durable_execution.local.store.tables import Release
from durable_execution.local.transaction import Backend
from durable_execution.protocol import Wire
from durable_execution.protocol.service_side import LOCAL_ACCOUNT, LOCAL_REGION

_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9_-]{1,128}")
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ROLE = f"arn:aws:iam::{LOCAL_ACCOUNT}:role/durable-local"


class Versions:
    """The versions and aliases of an engine's functions."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def resolve(self, target: Target) -> Target:
        """The target with its version in place of an alias.

        A function without versions and aliases accepts any qualifier: every version and alias of it is the current code.

        Raises:
            ServiceError: The function has versions or aliases, but not this one.
        """
        function = self._backend.functions.get(target.name)
        if target.qualifier is None or target.qualifier.startswith("$") or function is None:
            return target
        versions, aliases = self._versions(function), self._aliases(function)
        found = target.qualifier if target.alias is None else aliases.get(target.alias, "")
        if not versions and not aliases:
            return Target(target.name, target.version)
        if found != LATEST and found not in versions:
            raise _unknown(f"{target.name}:{target.qualifier}")
        return Target(target.name, found)

    def publish(self, target: Target, *, digest: Any, description: Any) -> Wire:
        """PublishVersion. Returns the latest version if the code has not changed since."""
        function = self._function(target)
        if digest is not None and digest != function.profile.digest:
            raise fault("PreconditionFailedException", f"CodeSHA256 ({digest}) is different from the function's.")
        with self._backend.transaction() as transaction:
            published = self._versions(function)
            last = max(published, key=int, default=None)
            if last is None or published[last] != function.profile.digest:
                last = str(int(last or 0) + 1)
                release = Release(
                    function.name, last, function.profile.digest, str(description or ""), transaction.now_ms
                )
                transaction.store.releases.put(release)
        return self.configuration(Target(function.name, last))

    def put_alias(self, target: Target, name: Any, version: Any, *, description: Any, is_new: bool) -> Wire:
        """CreateAlias and UpdateAlias."""
        function = self._function(target)
        if not isinstance(name, str) or not _ALIAS.fullmatch(name):
            raise invalid(f"Name must match {_ALIAS.pattern}, but is {name!r:.200}.")
        with self._backend.transaction() as transaction:
            known = self._aliases(function)
            if is_new and name in known:
                raise fault("ResourceConflictException", f"Alias already exists: {_arn(function.name, name)}")
            if not is_new and name not in known:
                raise _unknown(f"{function.name}:{name}")
            chosen = known[name] if version is None and not is_new else version
            if chosen != LATEST and chosen not in self._versions(function):
                raise _unknown(f"{function.name}:{chosen}")
            release = Release(function.name, name, str(chosen), str(description or ""), transaction.now_ms)
            transaction.store.releases.put(release)
        return self.alias(Target(function.name, None), name)

    def remove_alias(self, target: Target, name: str) -> None:
        """DeleteAlias. An alias that does not exist is not an error."""
        function = self._function(target)
        if name in function.aliases:
            raise fault("ResourceConflictException", f"The alias {name} comes from the configuration of the server.")
        with self._backend.transaction() as transaction:
            if name in self._aliases(function):
                transaction.store.releases.remove(function.name, name)

    def alias(self, target: Target, name: str) -> Wire:
        """GetAlias."""
        function = self._function(target)
        version = self._aliases(function).get(name)
        if version is None:
            raise _unknown(f"{function.name}:{name}")
        kept = {release.name: release for release in self._kept(function)}.get(name)
        described = kept.description if kept is not None else ""
        return {
            "AliasArn": _arn(function.name, name),
            "Name": name,
            "FunctionVersion": version,
            "Description": described,
            "RevisionId": _revision(function, f"{name} {version} {described}"),
        }

    def aliases(self, target: Target, *, version: Any, marker: Any, max_items: Any) -> Wire:
        """ListAliases."""
        function = self._function(target)
        names = [name for name, found in sorted(self._aliases(function).items()) if version in (None, found)]
        page, more = _page(names, "aliases", marker, max_items, self._backend.limits)
        return {"Aliases": [self.alias(target, name) for name in page], **more}

    def configuration(self, target: Target) -> Wire:
        """GetFunctionConfiguration."""
        function = self._function(target)
        found = self.resolve(target)
        return self._configuration(function, found.version, qualifier=target.qualifier)

    def function(self, target: Target) -> Wire:
        """GetFunction."""
        return {"Configuration": self.configuration(target), "Code": {"RepositoryType": "S3"}}

    def functions(self, *, every_version: bool, marker: Any, max_items: Any) -> Wire:
        """ListFunctions."""
        registry: Functions = self._backend.functions
        known = [(registry.require(name), LATEST) for name in registry.names()]
        if every_version:
            known = [(function, version) for function, _ in known for version in (LATEST, *self._versions(function))]
        page, more = _page(known, "functions", marker, max_items, self._backend.limits)
        shown = [
            self._configuration(function, version, qualifier=version if every_version else None)
            for function, version in page
        ]
        return {"Functions": shown, **more}

    def versions(self, target: Target, *, marker: Any, max_items: Any) -> Wire:
        """ListVersionsByFunction."""
        function = self._function(target)
        page, more = _page([LATEST, *self._versions(function)], "versions", marker, max_items, self._backend.limits)
        return {"Versions": [self._configuration(function, found, qualifier=found) for found in page], **more}

    def _function(self, target: Target) -> Function:
        function = self._backend.functions.get(target.name)
        if function is None:
            raise _unknown(target.name)
        return function

    def _kept(self, function: Function) -> list[Release]:
        store = self._backend.store
        with store.snapshot():
            return store.releases.of(function.name)

    def _versions(self, function: Function) -> dict[str, str]:
        """The digests of the published versions, by number, in order."""
        found = dict.fromkeys(function.versions, "")
        found |= {one.name: one.target for one in self._kept(function) if one.name.isdigit()}
        return dict(sorted(found.items(), key=lambda pair: int(pair[0])))

    def _aliases(self, function: Function) -> dict[str, str]:
        kept = {one.name: one.target for one in self._kept(function) if not one.name.isdigit()}
        return {**kept, **function.aliases}

    def _configuration(self, function: Function, version: str, *, qualifier: str | None) -> Wire:
        profile = function.profile.versions.get(version, function.profile)
        kept = {release.name: release for release in self._kept(function)}.get(version)
        changed = moment(kept.at_ms if kept is not None else self._backend.started_ms)
        wire: Wire = {
            "FunctionName": function.name,
            "FunctionArn": _arn(function.name, qualifier),
            "Runtime": RUNTIME,
            "Role": ROLE,
            "Handler": profile.handler,
            "CodeSize": 0,
            "Description": kept.description if kept is not None else "",
            "Timeout": int(function.timeout.total_seconds()),
            "MemorySize": profile.memory_mb,
            "LastModified": changed.isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
            "CodeSha256": (kept.target if kept is not None else "") or profile.digest,
            "Version": version,
            "RevisionId": _revision(function, version),
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": ["x86_64"],
        }
        if profile.environment:
            wire["Environment"] = {"Variables": dict(profile.environment)}
        if function.is_tenant_isolated:
            wire["TenancyConfig"] = {"TenantIsolationMode": "PER_TENANT"}
        if function.durable is not False:  # asking the host could load every function of a list
            timeout = function.execution_timeout or self._backend.limits.execution_timeout
            wire["DurableConfig"] = {
                "RetentionPeriodInDays": max(1, function.retention.days),
                "ExecutionTimeout": int(timeout.total_seconds()),
            }
        return wire


def _arn(name: str, qualifier: str | None) -> str:
    return f"arn:aws:lambda:{LOCAL_REGION}:{LOCAL_ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


def _revision(function: Function, text: str) -> str:
    found = sha256(f"{function.name} {function.profile.digest} {text}".encode()).hexdigest()
    return "-".join((found[:8], found[8:12], found[12:16], found[16:20], found[20:32]))


def _unknown(name: str) -> ApiError:
    shown = f"arn:aws:lambda:{LOCAL_REGION}:{LOCAL_ACCOUNT}:function:{name}"
    return fault("ResourceNotFoundException", f"Function not found: {shown}")


def _page(items: list[Any], kind: str, marker: Any, max_items: Any, limits: EngineLimits) -> tuple[list[Any], Wire]:
    """A page of items, with the marker of the next."""
    most = limits.max_page_items
    if isinstance(max_items, int) and not isinstance(max_items, bool) and 1 <= max_items <= 10_000:
        max_items = min(max_items, most)
    size = page_size(max_items, limits)
    start = (read_marker(kind, marker, 1) or [0])[0]
    following = {"NextMarker": make_marker(kind, start + size)} if start + size < len(items) else {}
    return items[start : start + size], following


def digest_of(*parts: bytes) -> str:
    """The fingerprint of code as GetFunction shows it: Base64 of a SHA-256."""
    return b64encode(sha256(b"\0".join(parts)).digest()).decode()


def profile_of(target: Any, versions: Mapping[str, Any] | None = None) -> FunctionProfile:
    """What GetFunction says about a target in this process: its handler, and a fingerprint of its source.

    Args:
        target: The target.
        versions: Targets of versions with code of their own.
    """
    function = inspect.unwrap(getattr(target, "function", target)) if callable(target) else target
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", type(function).__name__)
    try:
        source = Path(inspect.getfile(function)).read_bytes()
    except (OSError, TypeError):  # it has no source file
        source = b""
    return FunctionProfile(
        handler=f"{module}.{name}",
        digest=digest_of(f"{module}.{name}".encode(), source),
        versions={version: profile_of(each) for version, each in (versions or {}).items()},
    )
