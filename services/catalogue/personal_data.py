"""What the catalogue keeps of people: whose, what for, for how long, and how it ends."""

from services.catalogue.tables import AuditLogRow, BespokeRequestRow, SessionRow
from shared import limits, read_log
from shared.messaging import personal_data as messaging
from shared.personal_data import PersonalData, Register, Retention, Whose
from shared.web import logins

BESPOKE = Retention(
    table=BespokeRequestRow,
    days="catalogue_bespoke_kept_days",
    since="la dernière réponse à la demande",
    over="requester_email IS NOT NULL AND coalesce(answered_at, received_at) < :before",
    emptied=("requester_name", "requester_email", "message", "advisor_name", "advisor_email", "answer"),
)
"""The request itself stays, for the figures; it names nobody then."""
AUDIT = Retention(
    table=AuditLogRow, days="catalogue_audit_kept_days", since="le changement", over="at < :before"
)

REGISTER = (
    messaging.REGISTER
    + logins.REGISTER
    + limits.REGISTER
    + read_log.register()
    + Register(
        [
            PersonalData(
                table=BespokeRequestRow,
                whose=Whose.OFFICERS,
                columns={
                    "requester_name": "nom de qui demande",
                    "requester_email": "son courriel",
                    "message": "son message",
                    "advisor_name": "nom du conseiller qui répond",
                    "advisor_email": "son courriel",
                    "answer": "sa réponse",
                },
                purpose="Répondre aux demandes de formation sur mesure.",
                ends=(BESPOKE,),
            ),
            PersonalData(
                table=SessionRow,
                whose=Whose.STAFF,
                columns={
                    "experts": "noms des intervenants annoncés",
                    "summary": "présentation, qui peut les nommer",
                    "loaded": "la même présentation, telle qu’elle a été chargée",
                    "search_vector": "les mots de la présentation, pour la recherche",
                },
                purpose="Annoncer qui intervient.",
                until="l’organisateur les retire de la session",
            ),
            PersonalData(
                table=AuditLogRow,
                whose=Whose.STAFF,
                columns={
                    "actor": "nom du jeton, ou de la commande",
                    "changes": "ce qui a changé, dont les noms des intervenants",
                },
                purpose="Savoir qui a changé une session.",
                ends=(AUDIT,),
            ),
        ],
        [BESPOKE, AUDIT],
    )
)
