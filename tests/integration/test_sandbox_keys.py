"""A project's SSH keys over HTTP: registered, required, used by a bid, taken away."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from tests.integration.sandbox_server import PROJECT, Visitor, visit

KEYS = "/v2/ssh-keys"


def openssh(key: Ed25519PublicKey | RSAPublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


async def listed(visitor: Visitor) -> dict[str, Any]:
    return {key["fid"]: key for key in await visitor.get(KEYS, project=PROJECT)}


def test_without_a_public_key_a_pair_is_made_whose_private_half_is_shown_once() -> None:
    async def story(visitor: Visitor) -> None:
        made = await visitor.post(KEYS, {"project": PROJECT, "name": "mine"}, 201)
        private = serialization.load_pem_private_key(made.pop("private_key").encode(), None)
        assert isinstance(private, RSAPrivateKey)
        assert made["public_key"] == f"{openssh(private.public_key())} mine"
        assert made["required"] is False
        assert (await listed(visitor))[made["fid"]] == made

    visit(story)


def test_a_key_of_ones_own_is_registered_for_its_project_and_used_by_a_bid() -> None:
    async def story(visitor: Visitor) -> None:
        public = openssh(Ed25519PrivateKey.generate().public_key()) + " me@laptop"
        body = {"project": PROJECT, "name": "mine", "public_key": public, "required": True}
        made = await visitor.post(KEYS, body, 201)
        assert {field: made[field] for field in body} == body
        assert made["private_key"] is None
        assert made["fid"] not in {key["fid"] for key in await visitor.get(KEYS, project="proj_research")}
        launch = {"volumes": [], "ssh_keys": [made["fid"]]}
        bid = await visitor.place("work", launch_specification=launch)
        assert bid["launch_specification"]["ssh_keys"] == [made["fid"]]

    visit(story)


@pytest.mark.parametrize("public", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa {body}", "{body}"])
def test_what_is_no_public_key_is_a_422(public: str) -> None:
    async def story(visitor: Visitor) -> None:
        before = await listed(visitor)
        body = openssh(Ed25519PrivateKey.generate().public_key()).split()[1]
        given = {"project": PROJECT, "name": "mine", "public_key": public.format(body=body)}
        answer = await visitor.post(KEYS, given, 422)
        assert answer["detail"][0]["loc"] == ["body", "public_key"]
        assert await listed(visitor) == before

    visit(story)


def test_a_key_becomes_required() -> None:
    async def story(visitor: Visitor) -> None:
        changed = await visitor.patch(f"{KEYS}/sshkey_ci", {"required": True})
        assert changed["required"] is True
        assert (await listed(visitor))["sshkey_ci"] == changed
        await visitor.patch(f"{KEYS}/sshkey_ci", {}, 422)

    visit(story)


def test_a_key_goes_once_no_active_bid_names_it_and_a_bid_cannot_name_it_any_more() -> None:
    async def story(visitor: Visitor) -> None:
        bid = await visitor.place("work")
        await visitor.delete(f"{KEYS}/sshkey_admin", 409)
        await visitor.delete(f"/v2/spot/bids/{bid['fid']}")
        await visitor.delete(f"{KEYS}/sshkey_admin")
        assert "sshkey_admin" not in await listed(visitor)
        await visitor.place("again", 404)

    visit(story)


def test_what_is_not_there_is_a_404() -> None:
    async def story(visitor: Visitor) -> None:
        await visitor.post(KEYS, {"project": "proj_none", "name": "mine"}, 404)
        await visitor.patch(f"{KEYS}/sshkey_none", {"required": True}, 404)
        await visitor.delete(f"{KEYS}/sshkey_none", 404)

    visit(story)
