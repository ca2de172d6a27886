"""A service's HTTP against its own OpenAPI document: whatever is asked by it, and sometimes against it."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.support.documents import JsonDocument

Operation: TypeAlias = Any
"""What the library makes of a path and a method; it has no public name."""


def operations_of(document: JsonDocument) -> dict[str, Operation]:
    """By ``GET /api/v1/offers`` and so on, all that the document describes."""
    schema = schemathesis.openapi.from_dict(document)
    read = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {operation.label: operation for operation in read}


def ask_anything(operation: Operation, address: str, *, token: str, known: Mapping[str, str]) -> None:
    """Ask ``operation`` of the service at ``address`` in four ways.

    ``known``: by the name of a path's parameter, what there is; asked for in half of the cases. Fails where
    an answer is a 5xx, or outside of the document.
    """

    # Not by the library's own plugin, which does not know this version of pytest.
    @settings(
        max_examples=4,
        database=None,
        phases=(Phase.generate,),  # to shrink a failure would take minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(
        operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        st.sampled_from([True, False]),  # the first case is the simplest: what is right, of what there is
    )
    def ask(case: Case[Any], of_what_there_is: bool) -> None:
        if of_what_there_is:
            case.path_parameters.update(
                {name: value for name, value in known.items() if name in case.path_parameters}
            )
        case.call_and_validate(
            base_url=address,
            headers={"Authorization": f"Bearer {token}"},
            excluded_checks=[
                positive_data_acceptance,  # what is well-formed may still be refused, or unknown
                negative_data_rejection,  # what was wrong may have been mended above
                ignored_auth,  # which it would try where everybody may look, too
            ],
        )

    ask()
