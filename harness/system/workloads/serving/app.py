"""The HTTP application of the inference service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.gpu import GpuLostError
from harness.system.telemetry import inference
from harness.system.telemetry.logs import get_logger
from harness.system.workloads.serving import triton
from harness.system.workloads.serving.journal import Journal
from harness.system.workloads.serving.served_model import NotLoaded, ServedModel

MAX_PROMPT_CHARACTERS = 4096
MAX_TOKENS = 256
DEFAULT_TOKENS = 16
VERSION = "1"
_GENERATE = "/v1/models/{model_name}/generate"
# A prompt of the greatest length, each character written as two escapes, and the rest of the body.
_MAX_BODY_BYTES = 12 * MAX_PROMPT_CHARACTERS + 1024

ModelName = Annotated[str, Path(description="the model to ask")]
Prompt = Annotated[str, Query(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
TokenCount = Annotated[int, Query(ge=1, le=MAX_TOKENS)]


class Generate(BaseModel):
    """What a client asks for."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    max_tokens: int = Field(default=DEFAULT_TOKENS, ge=1, le=MAX_TOKENS)


class Generated(BaseModel):
    """What a client gets. ``token_count``: of the result; ``cached``: whether it was made for an earlier request."""

    model_name: str
    result: str
    token_count: int
    cached: bool


def inference_app(
    *,
    model_name: str,
    model: ServedModel,
    instruments: inference.InferenceInstruments,
    registry: CollectorRegistry,
    journal: Journal,
    ready: Callable[[], bool],
) -> FastAPI:
    """The endpoints for one model. ``ready`` says whether it may be asked.

    Each request to the model is counted once, one that is malformed as an error. A request to any other model
    gets 404 and is not counted, since its name would become a label value.
    """
    service = _Service(model_name=model_name, model=model, instruments=instruments, journal=journal)
    app = FastAPI(title="Inference", version=VERSION, docs_url=None, redoc_url=None)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return service.refuse(request.path_params.get("model_name"), 422, "; ".join(problems))

    @app.exception_handler(HTTPException)
    async def refuse_unread(request: Request, error: HTTPException) -> Response:
        if error.status_code in (400, 413):
            return service.refuse(request.path_params.get("model_name"), error.status_code, error.detail)
        return _error(error.status_code, HTTPStatus(error.status_code).phrase.lower(), request.url.path)

    @app.post(_GENERATE, response_model=Generated)
    async def generate_from_body(model_name: ModelName, body: Generate) -> Response:
        return await service.generate(model_name, body.prompt, body.max_tokens)

    @app.get(_GENERATE, response_model=Generated)
    async def generate_from_query(
        model_name: ModelName, prompt: Prompt, max_tokens: TokenCount = DEFAULT_TOKENS
    ) -> Response:
        return await service.generate(model_name, prompt, max_tokens)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v2/metrics", include_in_schema=False)
    async def triton_metrics() -> Response:
        counts = {(model_name, VERSION): instruments.counts(model_name)}
        return Response(triton.render(counts), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        if ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("the model is not loaded and scored yet\n", status_code=503)

    app.add_middleware(_BoundedBody)
    return app


class _Service:
    """One model behind the endpoints."""

    def __init__(
        self,
        *,
        model_name: str,
        model: ServedModel,
        instruments: inference.InferenceInstruments,
        journal: Journal,
    ) -> None:
        self._model_name = model_name
        self._model = model
        self._instruments = instruments
        self._journal = journal

    async def generate(self, model_name: str, prompt: str, max_tokens: int) -> Response:
        if model_name != self._model_name:
            return _error(404, "unknown model", f"this service serves {self._model_name}")
        with self._instruments.request(model_name) as request:
            response = await self._answer(request, prompt, max_tokens)
            if response.status_code >= 400:
                request.failed()
            return response

    def refuse(self, model_name: str | None, status: int, problem: str) -> JSONResponse:
        if model_name != self._model_name:
            return _error(404, "unknown model", f"this service serves {self._model_name}")
        with self._instruments.request(model_name) as request:
            request.failed()
            return _error(status, "malformed request", problem)

    async def _answer(self, request: inference.Request, prompt: str, max_tokens: int) -> Response:
        log = get_logger().bind(model_name=self._model_name)
        try:
            answer = await self._model.answer(prompt, max_tokens)
        except NotLoaded as error:
            return _error(503, "model not loaded", str(error))
        except GpuLostError as error:
            log.error("inference failed: GPU lost", exc_info=error)
            return _error(500, "GPU lost", str(error))
        except asyncio.CancelledError:
            # Only the end of the service cancels requests; their clients are told to turn elsewhere.
            return _error(503, "service ending", "ask again")
        except Exception as error:  # the log gets the traceback, the client a clear answer
            log.error("inference failed", exc_info=error)
            return _error(500, "inference failed", "the service's log says why")
        if answer.cached:
            request.cache_hit()
        else:
            request.cache_miss()
            request.generated(answer.tokens)
        content = Generated(
            model_name=self._model_name,
            result=answer.result,
            token_count=answer.tokens,
            cached=answer.cached,
        ).model_dump()
        self._journal.append({"at_unix_s": time.time(), "prompt": prompt, **content})
        return JSONResponse(content)


def _error(status: int, error: str, detail: str) -> JSONResponse:
    return JSONResponse({"error": error, "detail": detail}, status_code=status)


class _BoundedBody:
    """Ends a request whose body is longer than any well-formed one, instead of holding it in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal taken_bytes
            message = await receive()
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > _MAX_BODY_BYTES:
                raise HTTPException(413, f"body too long: at most {_MAX_BODY_BYTES} bytes are taken")
            return message

        await self._app(scope, receive_bounded, send)
