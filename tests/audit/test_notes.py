"""Signed notes and their keys, with the published examples of Go's `sumdb/note`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runlore.audit.keys import BadKey, SigningKey, new_key, read_key
from runlore.audit.offline import Checkpoint, NotProved, VerifierKey, split_note
from runlore.domain.errors import AlreadyExists

# Source: golang.org/x/mod/sumdb/note, note_test.go.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
    "pRZb6KE6RyyBwJnAM=\n"
)
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_the_published_key_signs_as_published() -> None:
    key = SigningKey.parse(PRIVATE)

    assert str(key.verifier) == PUBLIC
    assert key.signature_of(TEXT) == SIGNATURE
    assert str(key) == PRIVATE
    assert "AYEKFALVFGyN" not in repr(key)


def test_the_published_signature_is_that_of_the_published_key() -> None:
    key = VerifierKey.parse(PUBLIC)
    text, [(name, key_id, signature)] = split_note(f"{TEXT}\n{SIGNATURE}")

    assert (text, name, key_id) == (TEXT, key.name, key.key_id)
    assert key.has_signed(text, signature)
    assert not key.has_signed(text.replace("answer", "question"), signature)


def test_a_mangled_key_is_refused() -> None:
    mangled = [
        *(PUBLIC[:n] for n in range(len(PUBLIC))),
        *(PUBLIC[n:] for n in range(1, len(PUBLIC))),
        *(PUBLIC[:n] + chr(ord(PUBLIC[n]) + 1) + PUBLIC[n + 1 :] for n in range(len(PUBLIC))),
        # A key of another length, and one of another algorithm, each with its right hash.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]
    for text in mangled:
        with pytest.raises(NotProved):
            VerifierKey.parse(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        f"log\n1\n{ROOT}\n",
        f"log\n1\n{ROOT}\n\nPeterNeumann x08go/ZJ\n",
        f"log\n1\n{ROOT}\n\n{SIGNATURE}".removesuffix("\n"),
        f"log\n1\n{ROOT}\n\n\u2014 PeterNeumann x08g\n",
        f"log\n01\n{ROOT}\n\n{SIGNATURE}",
        f"log\n-1\n{ROOT}\n\n{SIGNATURE}",
        f"log\n{'9' * 5000}\n{ROOT}\n\n{SIGNATURE}",
        f"log\n\u0661\n{ROOT}\n\n{SIGNATURE}",
        f"log\n1\n{ROOT[:-2]}\n\n{SIGNATURE}",
        f"log\n1\nAAAA\n\n{SIGNATURE}",
        f"\n1\n{ROOT}\n\n{SIGNATURE}",
        f"log\t\n1\n{ROOT}\n\n{SIGNATURE}",
        f"log\n1\n{ROOT}\n\n" + SIGNATURE * 101,
    ],
    ids=range(14),
)
def test_what_is_no_checkpoint_is_refused(note: str) -> None:
    with pytest.raises(NotProved):
        Checkpoint(note)


def test_a_checkpoint_is_signed_by_those_that_signed_its_text() -> None:
    signer, other = SigningKey.generate("log"), SigningKey.generate("log")
    text = f"log\n1\n{ROOT}\nan extension\n"
    checkpoint = Checkpoint(f"{text}\n{signer.signature_of(text)}{SIGNATURE}")

    assert (checkpoint.origin, checkpoint.size) == ("log", 1)
    assert checkpoint.signers == ["log", "PeterNeumann"]
    assert checkpoint.signed_by([signer.verifier, other.verifier]) == [signer.verifier]


def test_a_false_signature_of_a_trusted_key_is_no_missing_one() -> None:
    checkpoint = Checkpoint(f"log\n1\n{ROOT}\n\n{SIGNATURE}")

    with pytest.raises(NotProved, match="signature of PeterNeumann is false"):
        checkpoint.signed_by([VerifierKey.parse(PUBLIC)])


# --- files ----------------------------------------------------------------------------------


def test_a_new_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = new_key(tmp_path / "keys" / "a.key", "log")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "keys" / "a.key").stat().st_mode) == 0o600
    assert str(read_key(tmp_path / "keys" / "a.key")) == str(made)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    made = new_key(tmp_path / "a.key", "log")

    with pytest.raises(AlreadyExists, match="not overwritten; name another file"):
        new_key(tmp_path / "a.key", "log")
    assert str(read_key(tmp_path / "a.key")) == str(made)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_or_change_signs_nothing(tmp_path: Path, mode: int) -> None:
    new_key(tmp_path / "a.key", "log")
    (tmp_path / "a.key").chmod(mode)

    with pytest.raises(BadKey, match="nothing was signed: `chmod 600"):
        read_key(tmp_path / "a.key")


@pytest.mark.parametrize("content", ["", "x", PUBLIC, PRIVATE[:-4], PRIVATE.replace("c74", "c75")])
def test_a_file_that_holds_no_key_is_refused_without_showing_it(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "a.key").write_text(content)
    (tmp_path / "a.key").chmod(0o600)

    with pytest.raises(BadKey) as refused:
        read_key(tmp_path / "a.key")
    assert "AYEKFALV" not in str(refused.value)
