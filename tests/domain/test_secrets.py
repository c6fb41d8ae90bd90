from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.secrets import (
    MASK,
    is_secret,
    is_secret_field,
    is_secret_name,
    looks_secret,
    mask_line,
    mask_words,
    secret_variables,
)


@pytest.mark.parametrize(
    "name",
    """
    HF_TOKEN GITHUB_TOKEN CI_JOB_TOKEN accesstoken access_token ACCESSTOKEN API_TOKENS token Token
    API_KEY OPENAI_API_KEY apiKey apikey APIKey WANDB_KEY OPENAI_KEY AWS_ACCESS_KEY_ID KEY
    AWS_SECRET_ACCESS_KEY privateKey PRIVATE_KEY ssh-key SECRET CLIENT_SECRET clientSecret secrets
    PASSWORD DB_PASSWORD PGPASSWORD MYSQL_PWD DB_PASS passwd MY_PASSPHRASE passphrase passcode
    CREDENTIALS GOOGLE_APPLICATION_CREDENTIALS aws-credential CREDS
    AUTH NETRC_AUTH BASIC_AUTH OAUTH authorization GITHUB_PAT AZURE_DEVOPS_EXT_PAT pat
    SLACK_WEBHOOK SLACK_WEBHOOK_URL webhook DiscordWebhookUrl SENTRY_DSN AZURE_STORAGE_SAS SAS_URL
    AZURE_STORAGE_CONNECTION_STRING CONNSTR JWT COOKIE use_secret_PASSWORD
    """.replace("use_secret_PASSWORD", "").split(),
)
def test_a_name_says_that_its_value_is_secret(name: str) -> None:
    assert is_secret_name(name, "abc")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "512"),
        ("max_tokens_per_key", "3"),
        ("MAX_TOKENS", "auto"),
        ("num_tokens", "1e6"),
        ("tokens", "512"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("tokenizer", "gpt2"),
        ("tokenizer_name", "gpt2"),
        ("pad_token", "<pad>"),
        ("eos-token", "</s>"),
        ("image_token_id", "32000"),
        ("token_length", "x"),
        ("AUTHOR", "ada"),
        ("authors", "ada"),
        ("author_email", "ada@lab.org"),
        ("AUTH_TYPE", "basic"),
        ("AUTH_ENABLED", "1"),
        ("OAUTH_URL", "https://login.lab.org"),
        ("use_auth", "x"),
        ("SSH_AUTH_SOCK", "/tmp/agent"),
        ("PATH", "/bin"),
        ("PYTHONPATH", "/lib"),
        ("PATIENCE", "3"),
        ("pattern", "*.py"),
        ("PWD", "/home/ada"),
        ("OLDPWD", "/home/ada"),
        ("passes", "3"),
        ("num_pass", "x"),
        ("pass", "2"),
        ("MONKEY", "x"),
        ("KEYBOARD", "x"),
        ("keyword", "x"),
        ("sort_key", "loss"),
        ("monitor-key", "val_loss"),
        ("PUBLIC_KEY", "x"),
        ("key_dim", "64"),
        ("keys", "8"),
        ("SECRET_NAME", "x"),
        ("TOKEN_FILE", "/run/secrets/token"),
        ("PASSWORD", ""),
        ("HF_TOKEN", "none"),
        ("secretary", "x"),
        ("compass", "x"),
        ("LEARNING_RATE", "0.1"),
        ("DATABASE_URL", "sqlite:///runs.db"),
        ("REDIS_URL", "redis://host:6379/0"),
        ("SASKATCHEWAN", "x"),
        ("ASSASSIN", "x"),
    ],
)
def test_other_names_do_not(name: str, value: str) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize("name", ["API_KEY", "apikey", "PASSWORD", "client_secret", "MYSQL_PWD"])
def test_some_secrets_are_numbers(name: str) -> None:
    assert is_secret(name, "123456")


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://ada:hunter2@db.lab.org/runs",
        "redis://:hunter2@host:6379/0",
        "mongodb+srv://ada:p%40ss@cluster/x",
        "https://0123456789abcdef0123@github.com/lab/code.git",
        "see https://ada:pw@host for more",
        "https://host/blob?sv=2024&sig=abc%3D",
        "https://host/a?access_token=abc",
        "https://bucket/x?X-Amz-Signature=0a1b&X-Amz-Credential=k",
        "https://hooks.slack.com/services/T0/B0/abc",
        "https://discord.com/api/webhooks/1/abc",
        "DefaultEndpointsProtocol=https;AccountName=lab;AccountKey=abc==;EndpointSuffix=x",
        "Endpoint=sb://lab/;SharedAccessKeyName=root;SharedAccessKey=abc=",
        "Server=db;User Id=ada;Password=hunter2;",
        "host=db user=ada password=hunter2",
        '{"lr": 0.1, "api_key": "abc"}',
        "ghp_" + "a1" * 18,
        "github_pat_11ABCDEFG0abcdefghij_0123456789",
        "glpat-abcdefghij0123456789",
        "xoxb-1234567890-abcdef",
        "sk-proj-abcdefghij0123456789",
        "sk_live_0123456789abcdef",
        "hf_abcdefghijklmnopqrstuvwxyz012345",
        "AKIAIOSFODNN7EXAMPLE",
        "AIza" + "a" * 35,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
        "Authorization: Bearer abcdefgh12345678",
        "Bearer abcdefgh12345678",
    ],
)
def test_a_value_looks_secret_whatever_its_name(value: str) -> None:
    assert looks_secret(value)
    assert is_secret("HARMLESS", value)


@pytest.mark.parametrize(
    "value",
    [
        "", "0.1", "train.py", "gpt2", "sk-learn", "sk-learn-pipeline-for-the-winter", "hf_model",
        "https://host/a?v=1&page=2", "s3://bucket/key", "git@github.com:lab/code.git",
        "ssh://git@github.com/lab/code.git", "ada@lab.org", "c0ffee" * 7, "lr=0.1,epochs=3",
        "max_tokens=512", "tokenizer=gpt2", "author:ada", '{"max_tokens": 512, "tokens": 3}',
        "postgresql://ada@host/db", "a:b@c", "12:30:00", "eyJhbGciOiJIUzI1NiJ9", "C:\\Users\\ada",
        "https://en.wikipedia.org/wiki/Key:Value", "--lr=0.1 --seed=7",
    ],
)  # fmt: skip
def test_other_values_do_not(value: str) -> None:
    assert not looks_secret(value)


@pytest.mark.parametrize(
    ("given", "masked", "names"),
    [
        ("--api-key X", "--api-key ***", ["--api-key"]),
        ("--api-key=X --lr 1", "--api-key=*** --lr 1", ["--api-key"]),
        ("--password -x", "--password ***", ["--password"]),
        ("--password --lr 1", "--password --lr 1", []),
        ("api.key=X db.password=Y", "api.key=*** db.password=***", ["api.key", "db.password"]),
        ("+model.token=X", "+model.token=***", ["+model.token"]),
        ("--url https://a:b@c/d", "--url ***", ["--url"]),
        ("in https://a:b@c/d", "in ***", ["argument 2"]),
        ("https://a:b@c/?d=e", "***", ["argument 1"]),
        ("-p X -k Y --key loss", "-p X -k Y --key loss", []),
        ("-p https://a:b@c/d", "-p ***", ["-p"]),
        ("--max-tokens 512 --tokenizer gpt2", "--max-tokens 512 --tokenizer gpt2", []),
        ("--use-auth train.csv", "--use-auth train.csv", []),
        ("--author ada --path /x", "--author ada --path /x", []),
        ("--token a --token b", "--token *** --token ***", ["--token"]),
        ("--token", "--token", []),
        ("", "", []),
    ],
)
def test_arguments_are_masked_by_their_names_and_looks(
    given: str, masked: str, names: list[str]
) -> None:
    assert mask_words(given.split()) == (tuple(masked.split()), tuple(names))


@pytest.mark.parametrize(
    ("given", "masked", "names"),
    [
        ("API_KEY='a b' python  train.py && ls", "API_KEY=*** python  train.py && ls", ["API_KEY"]),
        ("curl -H \"Authorization: Bearer abcdefgh12345678\" x", "curl -H *** x", ["-H"]),
        ("train --token=\"$(cat t)\"; ls", "train --token=***; ls", ["--token"]),
        ("echo 'it is \"fine\"' | wc", "echo 'it is \"fine\"' | wc", []),
        ("echo 'no end", "echo 'no end", []),
    ],
)  # fmt: skip
def test_a_line_of_a_shell_is_masked_word_by_word(
    given: str, masked: str, names: list[str]
) -> None:
    assert mask_line(given) == ((masked,), tuple(names))


def test_the_allow_list_counts_by_name_in_any_spelling() -> None:
    assert secret_variables({"API_KEY": "x", "HF_TOKEN": "y"}, ["api-key"]) == ("HF_TOKEN",)
    words = ["--api-key", "x", "https://a:b@c", "--token=y"]
    assert mask_words(words, ["API_KEY", "argument 3"]).names == ("--token",)


def test_fields_of_urls_have_short_names() -> None:
    assert all(map(is_secret_field, ["sig", "key", "Signature", "private_token", "auth"]))
    assert not any(map(is_secret_field, ["page", "author", "keyword", "v"]))


@given(st.lists(st.text()))
def test_the_words_stay_as_many(words: list[str]) -> None:
    masked, names = mask_words(words)

    assert len(masked) == len(words)
    assert all(
        MASK in after for before, after in zip(words, masked, strict=True) if before != after
    )
    assert (masked == tuple(words)) == (not names)


@given(st.lists(st.from_regex(r"[a-z ]{1,8}", fullmatch=True)))
def test_a_harmless_line_stays_as_it_is(words: list[str]) -> None:
    line = shlex.join(words)

    assert mask_line(line) == ((line,), ())


@pytest.mark.parametrize(
    "piece",
    [" ", "a", "a://", "sk-", "-eyJ", "SG.", "Basic ", "a=", "'", '"', "\\", "-----BEGIN ", "@:"],
)
def test_a_long_value_does_not_take_for_ever(piece: str) -> None:
    text = piece * 20_000

    assert not looks_secret(text)
    assert mask_line(text).names == ()
