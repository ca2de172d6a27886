"""What no request of a portal can be, said by the contract."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from shared.events.portal import SessionSwapRequested


def test_nobody_moves_to_the_session_that_they_are_to_leave() -> None:
    session_id = UUID(int=1)
    with pytest.raises(ValidationError) as refused:
        SessionSwapRequested(session_id=session_id, agent_id="IEL-1", to_session_id=session_id)
    assert refused.value.errors()[0]["loc"] == ("to_session_id",)
    SessionSwapRequested(session_id=session_id, agent_id="IEL-1", to_session_id=UUID(int=2))
