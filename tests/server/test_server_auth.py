"""Who may ask: nobody without a token where there are tokens, and nothing of a token is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from server.__main__ import main
from server.api import create_app
from server.auth import TokenError, Tokens, new_token, token_hash
from server.settings import Settings


@pytest.fixture(scope="module")
def token() -> str:
    return new_token()


@pytest.fixture(scope="module")
def client(toy_zoo: Path, token: str) -> TestClient:
    settings = Settings(threads=1, provider="cpu", tokens=token_hash(token), cors_origins="https://lab.example")
    return TestClient(create_app(toy_zoo, settings))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/metrics", "/v1/models", "/v1/nowhere"])
def test_without_a_token_nothing_is_told(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["type"]) == (401, "/problems/unauthorised")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == 'Bearer realm="strata"'
    assert response.headers["x-request-id"] == response.json()["request_id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_with_a_token_all_is_as_ever(client: TestClient, token: str) -> None:
    assert client.get("/v1/models", headers=bearer(token)).status_code == 200
    assert client.get("/v1/models", headers={"Authorization": f"bearer  {token} "}).status_code == 200


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_any_other_token_is_refused_and_not_repeated(client: TestClient, other: str) -> None:
    response = client.get("/v1/models", headers=bearer(other))
    assert response.status_code == 401
    assert len(other) < 8 or other not in response.text
    assert ("invalid_token" in response.headers["www-authenticate"]) == bool(other)


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_other_schemes_are_refused(client: TestClient, token: str, scheme: str) -> None:
    assert client.get("/v1/models", headers={"Authorization": f"{scheme} {token}"}).status_code == 401


def test_a_page_of_an_allowed_origin_may_ask_before_it_sends_its_token(client: TestClient) -> None:
    ask = {"Origin": "https://lab.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/models/vdvae-toy/sample", headers=ask).status_code == 200
    refused = client.get("/v1/models", headers={"Origin": "https://lab.example"})
    assert refused.headers["access-control-allow-origin"] == "https://lab.example"
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"Origin": "https://a.b"}).headers


def test_by_default_no_page_of_another_origin_may_ask(toy_zoo: Path, settings: Settings) -> None:
    response = TestClient(create_app(toy_zoo, settings)).get("/healthz", headers={"Origin": "https://lab.example"})
    assert "access-control-allow-origin" not in response.headers


def test_metrics_can_be_opened(toy_zoo: Path, token: str) -> None:
    settings = Settings(threads=1, provider="cpu", tokens=token_hash(token), metrics_open=True)
    client = TestClient(create_app(toy_zoo, settings))
    assert client.get("/metrics").status_code == 200
    assert client.get("/v1/models").status_code == 401


def test_the_openapi_document_says_that_a_token_is_needed(client: TestClient, token: str) -> None:
    document = client.get("/openapi.json", headers=bearer(token)).json()
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"bearer": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []


def test_tokens_are_hashes_with_names_in_lines() -> None:
    tokens = Tokens.parse(["# of the lab", "", f"{token_hash('a')} alice  # leaves in May", token_hash("b").upper()])
    assert (tokens.owner("a"), tokens.owner("c")) == ("alice", None)
    assert str(tokens.owner("b")).startswith("token ")


@pytest.mark.parametrize("line", ["secret", "0" * 63, f"{'0' * 64} two words"])
def test_a_line_that_is_no_hash_is_refused_and_not_repeated(line: str) -> None:
    with pytest.raises(TokenError, match="token 2 is no SHA-256") as error:
        Tokens.parse([token_hash("a"), line])
    assert line not in str(error.value)


def test_a_new_token_is_printed_with_the_hash_that_lets_it_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-token"]) == 0
    token, known = (line.split()[-1] for line in capsys.readouterr().out.splitlines())
    assert Tokens.parse([known]).owner(token)


def test_a_file_of_tokens_is_read_and_a_wrong_one_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{token_hash('a')} alice\n")
    assert Settings(tokens_file=file).read_tokens().owner("a") == "alice"
    file.write_text("alice\n")
    monkeypatch.setenv("STRATA_TOKENS_FILE", str(file))
    assert main(["--zoo", str(tmp_path)]) == 2
    assert "is no SHA-256" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "strata.example"])
def test_other_machines_are_not_served_without_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert main(["--host", host]) == 2
    assert "STRATA_TOKENS" in capsys.readouterr().err
    assert Settings(host=host, tokens=token_hash("a")).host == host
    assert Settings(host=host, anonymous=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_is(host: str) -> None:
    assert Settings(host=host).host == host


def test_settings_are_printed_without_tokens() -> None:
    assert token_hash("a") not in str(Settings(tokens=token_hash("a")).model_dump(mode="json"))
