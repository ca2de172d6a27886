from services.catalogue.tables import AuditLogRow, BespokeRequestRow, ResourceRow, SessionRow, TrainerRow
from shared import limits, read_log
from shared.messaging import personal_data as messaging
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose
from shared.read_log import ReadKind
from shared.web import logins

BESPOKE = Retention(
    table=BespokeRequestRow,
    days="catalogue_bespoke_kept_days",
    since="la dernière réponse à la demande",
    over="requester_email IS NOT NULL AND coalesce(answered_at, received_at) < :before",
    emptied=(
        "requester_name",
        "requester_email",
        "message",
        "advisor_name",
        "advisor_email",
        "answer",
        "messages",
    ),
)
"""The request itself stays for the figures, without a name."""
AUDIT = Retention(
    table=AuditLogRow, days="catalogue_audit_kept_days", since="le changement", over="at < :before"
)

TRAINERS = Retention(
    table=TrainerRow,
    days=90,
    since="la fin de la session",
    over="EXISTS (SELECT FROM session WHERE session.session_id = trainer.session_id AND ends_at < :before)",
)

_TO_ANSWER = "Répondre aux demandes de formation sur mesure."
_OF_REQUESTER = BY_ADDRESS.format("requester_email") + " AND received_at <= :until"
_OF_ADVISOR = BY_ADDRESS.format("advisor_email") + " AND coalesce(answered_at, received_at) <= :until"
_BESPOKE_READ = (
    f"kind = '{ReadKind.BESPOKE}' AND about IN (SELECT CAST(bespoke_id AS text) FROM bespoke_request "  # noqa: S608 our own
    f"WHERE ({_OF_REQUESTER}) OR ({_OF_ADVISOR}))"
)

REGISTER = (
    messaging.REGISTER
    + logins.REGISTER
    + limits.REGISTER
    + read_log.register(of_address=_BESPOKE_READ)
    + Register(
        [
            PersonalData(
                table=BespokeRequestRow,
                whose=Whose.OFFICERS,
                columns={
                    "requester_name": "nom de qui demande",
                    "requester_email": "son courriel",
                    "message": "son message",
                },
                purpose=_TO_ANSWER,
                ends=(BESPOKE,),
                of_address=_OF_REQUESTER,
                emptied=dict.fromkeys(BESPOKE.emptied, "NULL"),
            ),
            PersonalData(
                table=BespokeRequestRow,
                whose=Whose.STAFF,
                columns={
                    "advisor_name": "nom de la personne qui répond",
                    "advisor_email": "son courriel",
                    "answer": "sa dernière réponse",
                    "messages": "toutes les réponses, de qui a suivi la demande avant aussi",
                },
                purpose=_TO_ANSWER,
                ends=(BESPOKE,),
                of_address=_OF_ADVISOR,
                emptied=dict.fromkeys(("advisor_name", "advisor_email", "answer", "messages"), "NULL"),
                of_others=("requester_name", "requester_email", "message", "messages"),
            ),
            PersonalData(
                table=SessionRow,
                whose=Whose.STAFF,
                columns={
                    "experts": "noms de qui intervient",
                    "summary": "présentation, qui peut les nommer",
                    "loaded": "la même présentation, telle qu’elle a été chargée",
                    "search_vector": "les mots de la présentation, pour la recherche",
                },
                purpose="Annoncer qui intervient.",
                until="l’organisateur les retire de la session",
            ),
            PersonalData(
                table=TrainerRow,
                whose=Whose.TRAINERS,
                columns={"name": "nom, montré avec la session", "email": "courriel, jamais montré"},
                purpose="Annoncer qui forme, et lui écrire.",
                ends=(TRAINERS,),
                until="l’organisateur les retire de la session",
                of_address=BY_ADDRESS.format("email"),
            ),
            PersonalData(
                table=ResourceRow,
                whose=Whose.STAFF,
                columns={
                    "title": "titre d’un replay, d’un dossier ou d’une communauté, qui peut nommer quelqu’un",
                    "summary": "présentation d’un replay, d’un dossier ou d’une communauté, qui peut nommer "
                    "qui intervient",
                    "search_vector": "les mots de la présentation, pour la recherche",
                },
                purpose="Présenter ce qui est en ligne.",
                until="l’organisateur corrige ce texte, ou retire la ressource",
            ),
            PersonalData(
                table=ResourceRow,
                whose=Whose.STAFF,
                columns={
                    "url": "adresse de la page d’un replay, d’un dossier ou d’une communauté, qui peut "
                    "nommer quelqu’un"
                },
                purpose="Y mener ; savoir laquelle a été retirée.",
                until="l’organisateur corrige l’adresse ; celle d’une ressource retirée reste",
            ),
            PersonalData(
                table=AuditLogRow,
                whose=Whose.STAFF,
                columns={
                    "actor": "nom du jeton, ou de la commande",
                    "changes": "ce qui a changé, dont les noms de qui intervient, et le titre, la "
                    "présentation et l’adresse d’une ressource, même retirée",
                },
                purpose="Savoir qui a changé une session ou une ressource.",
                ends=(AUDIT,),
                of_address=BY_ADDRESS.format("actor"),
                proof=True,
            ),
        ],
        [BESPOKE, AUDIT, TRAINERS],
    )
)
