"""The personal data in messaging, and how long it is kept."""

from shared.messaging import dead_letters, inbox, outbox
from shared.messaging.tables import DeadLetterAuditRow, DeadLetterRow, ErasureRow, InboxRow, OutboxRow
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose

INBOX = Retention(
    table=InboxRow,
    days=inbox.KEPT.days,
    since="la réception de l’événement",
    over="seen_at < :before",
)
SENT = Retention(
    table=OutboxRow,
    days=outbox.KEPT.days,
    since="l’événement",
    over="sent_at IS NOT NULL AND portal IS NULL AND created_at < :before",
)
ANSWERS = Retention(
    table=OutboxRow,
    days=outbox.ANSWERS_KEPT.days,
    since="la réponse à un portail",
    over="sent_at IS NOT NULL AND portal IS NOT NULL AND created_at < :before",
)
DEAD_LETTERS = Retention(
    table=DeadLetterRow,
    days=dead_letters.KEPT.days,
    since="le rejet de la demande, ou la décision de l’exploitation",
    over="state <> 'parked' AND parked_at < :before AND NOT EXISTS (SELECT FROM dead_letter_audit AS audit "
    "WHERE audit.dead_letter_id = dead_letter.id AND audit.at >= :before)",
    key="id",
    with_rows_of={DeadLetterAuditRow: "dead_letter_id"},
)
UNDECIDED = Retention(
    table=DeadLetterRow,
    days="dead_letters_kept_days",
    since="la mise de côté d’une demande qui n’a pu être traitée, si personne n’en décide",
    over="state = 'parked' AND parked_at < :before",
)
"""Its own job ends undecided letters, and notifies their portals."""

_AGENT_IN_OUTBOX = (
    "strpos(data, :in_json) > 0 AND source <> ALL(CAST(:sources_of_others AS text[])) "
    "AND jsonb_path_exists(CAST(data AS jsonb), "
    "'$.** ? (@.agent_id == $agent_id && (!exists(@.issuer) || @.issuer == \"\" || @.issuer == $issuer))', "
    "jsonb_build_object('agent_id', CAST(:agent_id AS text), 'issuer', CAST(:issuer AS text)))"
)
"""If neither the event nor its sender names the issuer, every agent with the identifier is meant."""

_ADDRESS_IN_OUTBOX = (
    "EXISTS (SELECT FROM unnest(CAST(:addresses AS text[])) AS address "
    "WHERE strpos(lower(data), CAST(to_json(address) AS text)) > 0 "
    "AND jsonb_path_exists(CAST(lower(data) AS jsonb), "
    "'$.** ? (@.type() == \"object\" && !exists(@.agent_id)).* ? (@ == $address)', "
    "jsonb_build_object('address', address)))"
)
"""In an object with an identifier the address is that agent's."""
EVENTS = PersonalData(
    table=OutboxRow,
    whose=Whose.NAMED,
    columns={
        "key": "identifiant de l’agent",
        "data": "contenu de l’événement : identité, courriel et employeur de l’agent, réponses à des "
        "questions",
        "error": "raison de la mise de côté, et nom de la personne de l’exploitation qui y renonce",
    },
    purpose="Transmettre chaque décision aux autres services et aux portails, une seule fois.",
    ends=(SENT, ANSWERS),
    until="l’événement soit publié, ou que l’exploitation y renonce",
    of_agent=_AGENT_IN_OUTBOX,
    of_address=_ADDRESS_IN_OUTBOX,
    # The row stays, with its number in a portal's feed. A held event will not be sent.
    emptied={
        "key": "''",
        "data": "'{}'",
        "traceparent": "NULL",
        "error": "CASE WHEN error IS NOT NULL THEN 'erased' END",
        "held": "CASE WHEN sent_at IS NULL THEN 'discarded' ELSE held END",
        "sent_at": "coalesce(sent_at, now())",
    },
)

REGISTER = Register(
    [
        EVENTS,
        PersonalData(
            table=DeadLetterRow,
            whose=Whose.NAMED,
            columns={
                "key": "identifiant de l’agent",
                "value": "demande telle qu’elle a été reçue",
                "headers": "enveloppe de la demande",
                "error": "raison de la mise de côté",
                "traceback": "détail technique de l’erreur",
                "problems": "champs en cause",
            },
            purpose="Ne perdre aucune demande qui n’a pu être traitée, et prouver les rejets.",
            ends=(DEAD_LETTERS, UNDECIDED),
        ),
        PersonalData(
            table=DeadLetterAuditRow,
            whose=Whose.STAFF,
            columns={"actor": "nom de la personne de l’exploitation", "note": "sa raison"},
            purpose="Savoir qui a décidé d’une demande mise de côté.",
            ends=(DEAD_LETTERS,),
            of_address=BY_ADDRESS.format("actor"),
            proof=True,
        ),
        # Without a condition, because the erasure itself empties the row.
        PersonalData(
            table=ErasureRow,
            whose=Whose.AGENTS,
            columns={
                "issuer": "qui a donné l’identifiant de l’agent",
                "agent_id": "identifiant de l’agent qui a demandé l’effacement",
            },
            purpose="Effacer partout ce qui est connu de la personne, et pouvoir dire que c’est fait.",
            until="tout soit effacé : quelques secondes d’ordinaire, jusqu’à une heure de plus si un dernier "
            "courriel ne peut partir aussitôt, davantage si une panne retarde l’effacement",
        ),
    ],
    [INBOX, SENT, ANSWERS, DEAD_LETTERS],
)
