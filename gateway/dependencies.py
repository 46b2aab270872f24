"""What routes ask for, by type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from gateway.auth import Caller, get_admin, get_caller
from gateway.idempotency import Once, get_once
from gateway.pagination import Paging, get_paging
from gateway.state import GatewayState, get_state

State = Annotated[GatewayState, Depends(get_state)]
CallerOf = Annotated[Caller, Depends(get_caller)]
AdminOf = Annotated[Caller, Depends(get_admin)]
PagingOf = Annotated[Paging, Depends(get_paging)]
OnceOf = Annotated[Once, Depends(get_once)]
