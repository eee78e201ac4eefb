"""`/v2/ssh-keys`: the public keys that a project's instances let in.

Whoever places bids with a client of the marketplace needs a key of their own here: it sends the project's key that
equals a local one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import APIRouter, Response

from mithrild.sandbox import models
from mithrild.sandbox.agenda import stamp
from mithrild.sandbox.market import Market
from mithrild.sandbox.queries import known_project
from mithrild.sandbox.refusals import known, refused, unreadable
from mithrild.sandbox.state import FOUNDED, SshKey


def router(market: Market) -> APIRouter:
    api = APIRouter(prefix="/v2/ssh-keys")
    registry = market.registry

    def found(fid: str) -> SshKey:
        return known(registry.ssh_keys, fid, "SSH key")

    def fields(key: SshKey) -> dict[str, Any]:
        created = market.started_at - FOUNDED if key.created_at is None else key.created_at
        return {
            "fid": key.fid,
            "name": key.name,
            "project": key.project,
            "public_key": key.public_key,
            "created_at": stamp(created),
            "required": key.required,
        }

    @api.get("")
    async def get_ssh_keys(project: str) -> list[models.SshKeyModel]:
        known_project(project)
        return [models.SshKeyModel(**fields(key)) for key in registry.ssh_keys.values() if key.project == project]

    @api.post("", status_code=201)
    async def create_ssh_key(body: models.CreateSshKeyRequest) -> models.CreatedSshKeyModel:
        """Without a public key: a new pair, whose private half is shown this once."""
        known_project(body.project)
        if body.public_key is None:
            # In a thread, because looking for primes would hold up the market.
            private, public = await asyncio.to_thread(_new_pair, body.name)
        else:
            private, public = None, _checked(body.public_key)
        key = SshKey(
            fid=registry.fid("sshkey"),
            name=body.name,
            project=body.project,
            public_key=public,
            required=body.required,
            created_at=market.agenda.now,
        )
        registry.ssh_keys[key.fid] = key
        return models.CreatedSshKeyModel(**fields(key), private_key=private)

    @api.patch("/{ssh_key_fid}")
    async def update_ssh_key(ssh_key_fid: str, body: models.UpdateSshKeyRequest) -> models.SshKeyModel:
        key = found(ssh_key_fid)
        key.required = body.required
        return models.SshKeyModel(**fields(key))

    @api.delete("/{ssh_key_fid}", status_code=204)
    async def delete_ssh_key(ssh_key_fid: str) -> Response:
        key = found(ssh_key_fid)
        if any(key.fid in bid.launch.ssh_keys for bid in registry.unended_bids()):
            raise refused(409, "SSH key is used by an active bid")
        del registry.ssh_keys[key.fid]
        return Response(status_code=204)

    return api


def _checked(public: str) -> str:
    try:
        serialization.load_ssh_public_key(public.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise unreadable("body", "public_key", "Invalid SSH public key") from None
    return public


def _new_pair(comment: str) -> tuple[str, str]:
    """(private, public), in the forms of `~/.ssh/id_rsa` and `~/.ssh/id_rsa.pub`."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = pair.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"
