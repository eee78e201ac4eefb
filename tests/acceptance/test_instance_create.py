"""`ml instance create` with real processes: what it sends, what it shows, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.instance_rig import CREATE, REGION, TYPE, TYPE_NAME, WHERE, Object, Rig, open_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig")) as rig:
        rig.own_key()
        yield rig


def placed(rig: Rig, name: str) -> Object:
    """The bid as the marketplace's API has it."""
    (bid,) = rig.sandbox.get(f"/v2/spot/bids?project={rig.sandbox.project}&name={name}")["data"]
    found: Object = bid
    return found


def test_every_option_reaches_the_marketplace(rig: Rig) -> None:
    (rig.folder / "boot.sh").write_text("#!/bin/sh\necho grüß dich\n")
    done = rig.ml(
        *("instance", "create", "--instance-type", "b200", "--region", "us-central5-a"),
        *("--max-price-per-hour", "$24.50", "--name", "every", "--num-instances", "2", "--project", "demo"),
        *("--k8s", "train", "--ssh-key", "laptop", "--ssh-key", "ci", "--volume", "datasets"),
        *("--startup-script", str(rig.folder / "boot.sh"), "--json"),
    )
    bid = placed(rig, "every")
    assert bid["launch_specification"] == {
        "volumes": ["vol_datasets"],
        "ssh_keys": ["sshkey_admin", "sshkey_laptop", "sshkey_ci"],
        "kubernetes_cluster": "clust_train",
        "startup_script": "#!/bin/sh\necho grüß dich\n",
        "image_version": bid["launch_specification"]["image_version"],
        "memory_gb": bid["launch_specification"]["memory_gb"],
    }
    assert (bid["instance_type"], bid["limit_price"], bid["instance_quantity"]) == ("it_b200usc5a01", "$24.50", 2)
    shown = done.document()["bid"]
    assert (shown["fid"], shown["status"], shown["kubernetes_cluster"]) == (bid["fid"], "Open", "clust_train")
    assert done.err == ""


def test_the_answer_says_what_was_placed_and_what_to_type_next(rig: Rig) -> None:
    done = rig.ml(*CREATE, "-n", "my first", "-N", "2")
    facts = dict(re.findall(r"^([a-z ]+?)  +(\S.*)$", done.out, re.MULTILINE))
    assert facts == {
        "name": "my first",
        "fid": placed(rig, "my%20first")["fid"],
        "state": "pending",
        "project": "demo",
        "type": TYPE_NAME,
        "region": REGION,
        "limit price": "$9.50 an hour for each instance",
        "spot price": facts["spot price"],
        "instances": "2",
        "next": "ml instance info 'my first'",
    }
    assert done.err == ""
    assert "my first" in rig.ml("instance", "info", "my first").out


def test_a_name_is_made_up_that_nobody_had_before(rig: Rig) -> None:
    names = {rig.ml(*CREATE, "--json").document()["bid"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-[0-9a-f]{4}", name) for name in names)
    assert names <= rig.live().keys()


@pytest.mark.parametrize("price", ["8", "8.0", "$8.0", "8.00"])
@pytest.mark.parametrize("kind", ["8xh100", "8XH100", TYPE_NAME, TYPE])
def test_prices_and_types_are_taken_in_every_form(rig: Rig, price: str, kind: str) -> None:
    done = rig.ml("instance", "create", "-i", kind, "-r", REGION, "-m", price, "--dry-run", "--json")
    plan = done.document()["plan"]
    assert (plan["instance_type"], plan["limit_price"]) == (TYPE, "$8.00")


def test_the_key_that_matches_a_local_one_is_chosen_beside_the_required_one(rig: Rig) -> None:
    mine = next(key["fid"] for key in rig.sandbox.get("/v2/ssh-keys?project=proj_demo") if key["name"] == "mine")
    plan = rig.ml(*CREATE, "-d", "--json").document()
    assert (plan["plan"]["ssh_keys"], plan["warnings"]) == (["sshkey_admin", mine], [])


def test_files_that_are_no_keys_do_no_harm(rig: Rig, tmp_path: Path) -> None:
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    (ssh / "big.pub").write_bytes(b"ssh-rsa " + b"A" * 1_000_000)
    (ssh / "bytes.pub").write_bytes(bytes(range(256)))
    (ssh / "folder.pub").mkdir()
    (ssh / "gone.pub").symlink_to(tmp_path / "nowhere")
    (ssh / "empty.pub").touch()
    done = rig.ml(*CREATE, "-d", HOME=str(tmp_path))
    assert "only who has admin can log in; --ssh-key names another" in done.err


def test_a_dry_run_shows_bid_and_market_and_places_nothing(rig: Rig) -> None:
    before = rig.live()
    (market,) = [
        each
        for each in rig.sandbox.get("/v2/spot/availability")
        if (each["region"], each["instance_type"]) == (REGION, TYPE)
    ]
    done = rig.ml(*CREATE, "-n", "planned", "-N", "3", "--k8s", "eval", "--dry-run")
    assert dict(re.findall(r"^([a-z ]+?)  +(\S.*)$", done.out, re.MULTILINE)) == {
        "name": "planned",
        "project": "demo (proj_demo)",
        "type": f"{TYPE_NAME} ({TYPE})",
        "region": REGION,
        "limit price": "$9.50 an hour for each instance",
        "instances": "3",
        "cluster": "eval",
        "capacity": str(market["capacity"]),
        "spot price": market["last_instance_price"],
        "win price": market["lowest_allocated_price"],
    }
    assert done.err == "ml: this was a dry run: it would be accepted, and nothing was placed\n"
    document = rig.ml(*CREATE, "-n", "planned", "-d", "--json", "--wait").document()
    assert document.keys() == {"plan", "warnings"}
    assert document["plan"]["kubernetes_cluster"] is None
    assert rig.live() == before


def test_what_is_allowed_and_most_likely_not_meant_is_warned_of(rig: Rig) -> None:
    done = rig.ml("instance", "create", *WHERE, "-m", "2.01", "-N", "49", "-d", "--json")
    cheap, many = done.document()["warnings"]
    assert "the limit $2.01 is not above the spot price" in cheap
    assert "49 instances are more than the capacity of 48" in many
    assert done.err == f"ml: {cheap}\nml: {many}\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("-i h100 -m 8", 2, "'h100' could be any of h100-80gb.sxm.8x (it_h100usc1a04), h100-80gb.sxm.1x"),
        ("-i b300 -m 8", 6, "there is no type 'b300'; us-central1-a has: h100-80gb.sxm.1x, h100-80gb.sxm.8x"),
        ("-i b200 -m 8", 2, "'b200' is not offered in us-central1-a; it is in: eu-central1-b, us-central5-a"),
        ("-i 8xh100 -m 8 -r mars", 6, "there is no region 'mars'; there are: eu-central1-a"),
        ("-i 8xh100 -m 8 -N 65", 2, "more than the project's quota of 64"),
        ("-i 8xh100 -m 8 -N 10001", 2, "quantity: it is more than 10000"),
        ("-i 8xh100 -m 8 --k8s fresh", 2, "pending"),
        ("-i 8xh100 -m 8 --k8s train", 2, "is in us-central5-a, not in us-central1-a"),
        ("-i 8xh100 -m 8 --k8s nosuch", 6, "does not exist; there are: eval, fresh"),
        ("-i 8xh100 -m 8 --ssh-key nosuch", 6, "it has: admin, laptop, ci, mine"),
        ("-i 8xh100 -m 8 --volume nosuch", 6, "there are: datasets"),
        ("-i 8xh100 -m 8 --volume datasets", 2, "is in us-central5-a"),
        ("-i 8xh100 -m 8 -p nosuch", 6, "watched are: demo"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_choices(rig: Rig, words: str, code: int, said: str) -> None:
    before = rig.live()
    assert said in rig.refused("instance", "create", "-r", REGION, *words.split(), code=code)
    assert rig.live() == before
