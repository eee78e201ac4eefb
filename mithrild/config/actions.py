"""What the tables of a hook's actions hold, and what about them is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, model_validator

from mithrild.config.addresses import Address, Table, check_web_address
from mithrild.config.notifying import check_notify_address
from mithrild.config.secrets import FileName, Source, VariableName, check_private_key, locate, signing_keys
from mithrild.wire import ssh_destination


def a_list(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f'must be a list: ["{value}"]')
    return value


def a_list_of_words(value: object) -> object:
    if isinstance(value, str):
        raise ValueError('must be a list, since no shell runs it: ["/path/to/program", "argument"]')
    return value


def a_list_of_addresses(value: object) -> object:
    if isinstance(value, str | Mapping):  # not quoted: it may hold a token
        raise ValueError('must be a list: ["ntfy://topic"]')
    return value


def check_run(run: tuple[str, ...]) -> tuple[str, ...]:
    if not run or not run[0]:
        raise ValueError('names no program: ["/path/to/program", "argument"]')
    if any("\0" in word for word in run):
        raise ValueError("a NUL character can be passed to no program")
    program = run[0]
    if "/" in program and not program.startswith(("/", "~/")):
        raise ValueError(f'"{program}": the program must be an absolute path, a path under ~/, or a bare name on PATH')
    return run


Run = Annotated[tuple[str, ...], AfterValidator(check_run), BeforeValidator(a_list_of_words)]


def check_command(command: str) -> str:
    if not command.strip() or "\0" in command:
        raise ValueError("names no command")
    return command


def check_user(user: str) -> str:
    if ssh_destination(f"{user}@host") is None:
        raise ValueError(f'"{user[:100]}" is not the name of a user')
    return user


def check_jump(jump: str) -> str:
    if any(ssh_destination(hop.strip()) is None for hop in jump.split(",")):
        raise ValueError(f'"{jump[:100]}" names no machine: write it like "me@bastion.example.org:22"')
    return jump


class Ssh(Table):
    """A line for the shell of an instance. What is left out is taken from ~/.ssh/config, else as `ml ssh` has it."""

    command: Annotated[str, AfterValidator(check_command)]
    nodes: Literal["all", "first"] = "all"
    user: Annotated[str, AfterValidator(check_user)] | None = None
    port: Annotated[StrictInt, Field(ge=1, le=65_535)] | None = None
    key: FileName | None = None
    jump: Annotated[str, AfterValidator(check_jump)] | None = None
    strict: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        return {"command": value} if isinstance(value, str) else value

    def located(self, home: Path, folder: Path, env: Mapping[str, str]) -> Self:
        return self if self.key is None else self.model_copy(update={"key": locate(self.key, home, folder, env)})

    def faults(self) -> Iterator[str]:
        """What is wrong with the key that it names. To be asked of a located one."""
        if self.key is not None:
            try:
                check_private_key(Path(self.key))
            except ValueError as error:
                yield f"ssh.key: {error}"


def check_notify(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    if not addresses:
        raise ValueError("must not be empty")
    return addresses


Notify = Annotated[tuple[Address, ...], AfterValidator(check_notify), BeforeValidator(a_list_of_addresses)]


def notify_faults(addresses: Sequence[Address], env: Mapping[str, str]) -> Iterator[str]:
    """What no message can be sent to. To be asked of located ones."""
    for address in addresses:
        try:
            check_notify_address(address.source.read(env))
        except ValueError as error:
            yield f"notify: {error}"


class Webhook(Address):
    """Where the event is posted to, and what it is signed with: one secret, or the new one and the old one."""

    secret_file: FileName | None = None
    secret_env: VariableName | None = None
    allow_http: Annotated[tuple[str, ...], BeforeValidator(a_list)] = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.secret_file is not None and self.secret_env is not None:
            raise ValueError("has both secret_file and secret_env: one of them is enough")
        if self.url is not None:
            check_web_address(self.url.get_secret_value(), self.allow_http)
        return self

    @property
    def secret(self) -> Source | None:
        if self.secret_file is None and self.secret_env is None:
            return None
        return Source(Path(self.secret_file) if self.secret_file else None, self.secret_env)

    def located(self, home: Path, folder: Path, env: Mapping[str, str]) -> Self:
        moved = super().located(home, folder, env)
        if self.secret_file is None:
            return moved
        return moved.model_copy(update={"secret_file": locate(self.secret_file, home, folder, env)})

    def faults(self, env: Mapping[str, str]) -> Iterator[str]:
        """What is wrong in the files and variables that it names. To be asked of a located one."""
        try:
            check_web_address(self.source.read(env), self.allow_http)
        except ValueError as error:
            yield f"webhook.{'url_file' if self.url_file else 'url_env'}: {error}"
        if self.secret is not None:
            try:
                signing_keys(self.secret.read(env))
            except ValueError as error:
                yield f"webhook.{'secret_file' if self.secret_file else 'secret_env'}: {error}"
