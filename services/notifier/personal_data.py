from services.notifier.letters import FanOutTask, LetterType
from services.notifier.tables import (
    AgentDetailRow,
    AgentLogInRow,
    BounceRow,
    DomainRateRow,
    EndedDigestRow,
    EndedSubscriptionRow,
    EnrolmentRow,
    FanOutRow,
    FormerAddressRow,
    MailAttemptRow,
    MailAuditRow,
    MailRow,
    NewsRow,
    SubscriberRow,
    SubscriptionRequestRow,
    SubscriptionRow,
    SuppressionRow,
    TimelineRow,
    TrainerRow,
)
from shared import limits, read_log
from shared.messaging import personal_data as messaging
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose
from shared.web import logins

MAILS = Retention(
    table=MailRow,
    days="notifier_mails_kept_days",
    since="l’envoi du courriel, ou l’essai dont personne ne sait s’il a réussi",
    over="settled_at < :before OR (state = 'ambiguous' AND due_at < :before)",
    key="mail_id",
    with_rows_of={MailAuditRow: "mail_id", MailAttemptRow: "mail_id"},
)
TIMELINE = Retention(
    table=TimelineRow,
    days="notifier_mails_kept_days",
    since="ce qui est arrivé",
    over="at < :before",
)
ENDED = Retention(
    table=EnrolmentRow,
    days="notifier_mails_kept_days",
    since="le refus, le désistement ou la fin de la liste d’attente",
    over="standing IN ('lapsed', 'not_obtained', 'refused', 'withdrawn') AND since < :before",
)
PAST = Retention(
    table=EnrolmentRow,
    days="notifier_addresses_kept_days",
    since="la fin de la session",
    over="session_id IN (SELECT session_id FROM session "
    "WHERE CAST(state->>'ends_at' AS timestamptz) < :before)",
)
"""Replays are announced to past participants."""
TRAINERS = Retention(
    table=TrainerRow,
    days=90,
    since="la fin de la session",
    over="session_id IN (SELECT session_id FROM session "
    "WHERE CAST(state->>'ends_at' AS timestamptz) < :before)",
)
FORMER_ADDRESSES = Retention(
    table=FormerAddressRow,
    days="notifier_mails_kept_days",
    since="la correction de l’adresse",
    over="since < :before",
)
"""Kept while letters may still have the address."""
AGENT_DETAILS = Retention(
    table=AgentDetailRow,
    days="dead_letters_kept_days",
    since="ce que le portail a dit de l’agent",
    over="stated_at < :before",
)
"""Kept while an older event may still be read."""
ENDED_SUBSCRIPTIONS = Retention(
    table=EndedSubscriptionRow,
    days="dead_letters_kept_days",
    since="le désabonnement",
    over="ended_at < :before",
)
"""Kept while an older subscription may still be read."""
BOUNCES = Retention(
    table=BounceRow,
    days="notifier_bounces_kept_days",
    since="le retour du courriel",
    over="bounced_at < :before",
)
SUPPRESSIONS = Retention(
    table=SuppressionRow,
    days="notifier_bounces_kept_days",
    since="le dernier retour",
    over="since < :before",
)
SUBSCRIPTION_REQUESTS = Retention(
    table=SubscriptionRequestRow, days=3, since="la demande d’abonnement", over="requested_at < :before"
)
LOG_INS_ASKED = Retention(
    table=AgentLogInRow, days=1, since="la connexion", over="NOT is_confirmed AND used_at < :before"
)
LOG_INS = Retention(
    table=AgentLogInRow,
    days="notifier_addresses_kept_days",
    since="la dernière connexion",
    over="is_confirmed AND used_at < :before",
)
FAN_OUTS = Retention(table=FanOutRow, days=30, since="la fin de l’envoi groupé", over="done_at < :before")
DOMAIN_RATES = Retention(
    table=DomainRateRow, days=0, since="le dernier envoi au domaine", over="free_at < :before"
)

_IDENTITY = {
    "issuer": "qui a donné l’identifiant de l’agent",
    "agent_id": "identifiant de l’agent",
    "address": "courriel",
    "given_name": "prénom",
    "family_name": "nom",
}

_OWN = "issuer = :issuer AND agent_id = :agent_id"
_ADDRESS = "address"
_OF_SUBSCRIBER = "(SELECT address FROM subscriber WHERE subscriber_id = subscription.subscriber_id)"
_BY_ADDRESS = BY_ADDRESS.format("address")
_BY_DIGEST = "address = ANY(CAST(:digests AS bytea[]))"
_ENROLMENTS = f"{_OWN} AND since <= :until"
_NAMED = "(details -> 'enrolments')"
_IDS = f"ARRAY(SELECT CAST(enrolment_id AS text) FROM enrolment WHERE {_ENROLMENTS})"  # noqa: S608 a condition of our own
_OTHERS_NAMED = f"({_NAMED} - {_IDS})"
_FOLLOWS = "SELECT FROM subscription WHERE subscription.subscriber_id = subscriber.subscriber_id"
_SUBSCRIBERS = f"{_OWN} AND NOT EXISTS ({_FOLLOWS} AND since > :until)"
"""A subscriber with newer subscriptions stays, and keeps only these subscriptions."""
_SUBSCRIPTIONS = f"since <= :until AND subscriber_id IN (SELECT subscriber_id FROM subscriber WHERE {_OWN})"  # noqa: S608 a condition of our own
_TIMELINE = (
    f"{_OWN} AND (at <= :until OR enrolment_id IN (SELECT enrolment_id FROM enrolment WHERE {_ENROLMENTS}))"  # noqa: S608 as above
)
"""Events of an enrolment end with it, whenever they were read."""
_NO_AGENTS = f"agent_id IS NULL AND {_BY_ADDRESS} AND created_at <= :until"
_MAILS_TO_NO_AGENT = f"issuer = '' AND {_BY_ADDRESS} AND called_for_at <= :until"
_READS_OF_NO_AGENT = (
    f"issuer = '' AND agent_id IN (SELECT recipient FROM mail WHERE {_MAILS_TO_NO_AGENT} "  # noqa: S608 as above
    f"UNION SELECT 'abonnement-' || subscriber_id FROM subscriber WHERE {_NO_AGENTS})"
)
"""Reads of letters to the person. They are erased before the rows by which they are found."""
_ENDS_TOO = (
    f"enrolment_id IN (SELECT enrolment_id FROM enrolment WHERE {_ENROLMENTS}) "  # noqa: S608 a condition of our own
    f"OR (enrolment_id IS NULL AND EXISTS (SELECT FROM subscriber WHERE {_SUBSCRIBERS}))"
)
"""Letters about the agent's enrolments and subscriptions are erased whenever they were called for."""
_OWN_MAILS = f"issuer = :issuer AND recipient = :agent_id AND (called_for_at <= :until OR {_ENDS_TOO})"
_GIVEN = f"SELECT event_id FROM mail WHERE {_OWN_MAILS} AND template = '{LetterType.ADDRESS_GIVEN}'"  # noqa: S608 as above
_CONFIRMS = f"template = '{LetterType.CONFIRM_ADDRESS}' AND event_id IN ({_GIVEN})"
_MAILS = (
    f"mail_id IN (SELECT mail_id FROM mail WHERE {_OWN_MAILS} "  # noqa: S608 as above
    f"UNION SELECT mail_id FROM mail WHERE issuer = '' "
    f"AND recipient IN (SELECT recipient FROM mail WHERE {_CONFIRMS}))"
)
"""Letters to no agent belong to the owner of the address, and to the agent who gave it as a new one."""

REGISTER = (
    messaging.REGISTER
    + logins.REGISTER
    + limits.REGISTER
    + read_log.register(of_address=_READS_OF_NO_AGENT)
    + Register(
        [
            PersonalData(
                table=MailAuditRow,
                whose=Whose.STAFF,
                columns={"actor": "nom de la personne de l’exploitation"},
                purpose="Savoir qui a décidé d’un courriel.",
                ends=(MAILS,),
                of_agent=f"mail_id IN (SELECT mail_id FROM mail WHERE {_MAILS})",  # noqa: S608 a condition of our own
                of_address=f"mail_id IN (SELECT mail_id FROM mail WHERE {_MAILS_TO_NO_AGENT})",  # noqa: S608 as above
            ),
            PersonalData(
                table=MailAuditRow,
                whose=Whose.STAFF,
                columns={"actor": "nom de la personne de l’exploitation"},
                purpose="Savoir qui a décidé d’un courriel.",
                ends=(MAILS,),
                of_address=BY_ADDRESS.format("actor"),
                proof=True,
            ),
            PersonalData(
                table=MailAttemptRow,
                whose=Whose.ADDRESSEES,
                columns={
                    "answer": "réponse du serveur de messagerie, sans adresse",
                    "written_from": "ce que disait le courriel de la session et de l’inscription",
                },
                purpose="Pouvoir dire ce qui a été écrit, et ce que le serveur de messagerie a répondu.",
                ends=(MAILS,),
                of_agent=f"mail_id IN (SELECT mail_id FROM mail WHERE {_MAILS})",  # noqa: S608 as above
                of_address=f"mail_id IN (SELECT mail_id FROM mail WHERE {_MAILS_TO_NO_AGENT})",  # noqa: S608 as above
            ),
            PersonalData(
                table=MailRow,
                whose=Whose.ADDRESSEES,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "recipient": "identifiant de l’agent",
                    "address": "courriel",
                    "given_name": "prénom",
                    "family_name": "nom",
                    "details": "ce que dit le courriel",
                    "smtp_answer": "réponse du serveur de messagerie, qui peut citer l’adresse",
                },
                purpose="Écrire à chaque personne une seule fois, et pouvoir dire ce qui lui a été écrit.",
                ends=(MAILS,),
                of_agent=_MAILS,
                of_address=_MAILS_TO_NO_AGENT,
                # A new address may be a stranger's while nobody has confirmed it.
                address="CASE WHEN issuer <> '' THEN address END",
                identifier="recipient",
            ),
            PersonalData(
                table=MailRow,
                whose=Whose.STAFF,
                columns={"details": "nom et courriel de qui répond à une demande sur mesure, et sa réponse"},
                purpose="Dire à qui demande une formation sur mesure qui lui répond.",
                ends=(MAILS,),
                of_address=f"template = '{LetterType.BESPOKE_ANSWERED}' AND "
                + BY_ADDRESS.format("details ->> 'advisor_address'"),
                # A letter that has not left keeps its text for its reader.
                emptied={
                    "details": "details || jsonb_build_object('advisor', NULL, 'advisor_address', NULL) "
                    "|| CASE WHEN settled_at IS NULL THEN '{}' ELSE jsonb_build_object('message', NULL) END"
                },
                of_others=("address", "given_name", "family_name", "recipient", "smtp_answer"),
            ),
            PersonalData(
                table=TimelineRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant de l’agent",
                    "kind": "ce qui est arrivé à l’agent",
                    "reason": "code de la raison",
                    "siret": "SIRET de l’employeur",
                },
                purpose="Répondre à un agent de ce qui est arrivé à ses demandes.",
                ends=(TIMELINE,),
                of_agent=_TIMELINE,
            ),
            # Before the enrolments: their ids find the messages that name chosen recipients.
            PersonalData(
                table=FanOutRow,
                whose=Whose.AGENTS,
                columns={
                    "details": "message de l’organisateur à des personnes choisies, et leurs inscriptions"
                },
                purpose="Écrire aux personnes que l’organisateur a choisies.",
                ends=(FAN_OUTS,),
                until="le message soit écrit à chacune",
                of_agent=f"task = '{FanOutTask.MESSAGE}' AND jsonb_exists_any({_NAMED}, {_IDS})",
                # A message that has not reached all recipients keeps its text for the others.
                emptied={
                    "details": f"jsonb_set(details, '{{enrolments}}', {_OTHERS_NAMED}) "
                    f"|| CASE WHEN done_at IS NOT NULL OR {_OTHERS_NAMED} = '[]' "
                    "THEN jsonb_build_object('text', '', 'link', NULL) ELSE '{}' END"
                },
                of_others=("details",),
            ),
            PersonalData(
                table=EnrolmentRow,
                whose=Whose.AGENTS,
                columns={**_IDENTITY, "standing": "où en est l’inscription"},
                purpose="Envoyer convocations, rappels, changements et replays aux personnes inscrites.",
                ends=(ENDED, PAST),
                of_agent=_ENROLMENTS,
                address=_ADDRESS,
            ),
            # After the enrolments: a log-in locks them before it is kept.
            PersonalData(
                table=AgentLogInRow,
                whose=Whose.AGENTS,
                columns={
                    "person": "empreinte de l’identifiant chez le fournisseur d’identité",
                    "address": "empreinte du courriel",
                    "browser": "empreinte du témoin du navigateur",
                    "sealed_tokens": "jetons du fournisseur d’identité, chiffrés par ce témoin",
                },
                purpose="Ouvrir « Mes inscriptions » à l’agent qui se connecte avec une adresse confirmée.",
                ends=(LOG_INS_ASKED, LOG_INS),
                of_agent=_BY_DIGEST,
                of_address=_BY_DIGEST,
            ),
            PersonalData(
                table=TrainerRow,
                whose=Whose.TRAINERS,
                columns={"name": "nom", "address": "courriel"},
                purpose="Nommer dans les courriels qui forme, et lui écrire.",
                ends=(TRAINERS,),
                until="l’organisateur les retire de la session",
                of_address=_BY_ADDRESS,
            ),
            PersonalData(
                table=FormerAddressRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant de l’agent",
                    "address": "courriel qu’il n’a plus",
                },
                purpose="Effacer aussi, sur demande, ce qui reste d’une ancienne adresse.",
                ends=(FORMER_ADDRESSES,),
                of_agent=_OWN,
                address=_ADDRESS,
            ),
            PersonalData(
                table=AgentDetailRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant de l’agent",
                    "value": "ce qui a été dit en dernier : courriel, prénom ou nom",
                },
                purpose="Lire d’après ce qui a été dit en dernier ce qui est venu avant et est lu après.",
                ends=(AGENT_DETAILS,),
                of_agent=_OWN,
                address="CASE name WHEN 'email' THEN value END",
            ),
            PersonalData(
                table=SubscriptionRow,
                whose=Whose.SUBSCRIBERS,
                columns={"interest": "thème, délégation, communauté ou offre suivis"},
                purpose="Envoyer les nouveautés demandées.",
                until="la personne se désabonne",
                of_agent=_SUBSCRIPTIONS,
                of_address=f"subscriber_id IN (SELECT subscriber_id FROM subscriber WHERE {_NO_AGENTS})",  # noqa: S608 as above
                address=_OF_SUBSCRIBER,
                identifier="",
            ),
            PersonalData(
                table=EndedSubscriptionRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant de l’agent",
                    "interest": "thème, délégation, communauté ou offre qui ne sont plus suivis",
                },
                purpose="Ne pas reprendre ce que l’agent a arrêté quand un abonnement d’avant est lu après.",
                ends=(ENDED_SUBSCRIPTIONS,),
                of_agent=_OWN,
            ),
            PersonalData(
                table=SubscriberRow,
                whose=Whose.SUBSCRIBERS,
                columns=_IDENTITY,
                purpose="Envoyer les nouveautés demandées.",
                until="la personne se désabonne",
                of_agent=_SUBSCRIBERS,
                of_address=_NO_AGENTS,
                address=_ADDRESS,
            ),
            PersonalData(
                table=SubscriptionRequestRow,
                whose=Whose.SUBSCRIBERS,
                columns={"address": "courriel", "interests": "ce que la personne veut suivre"},
                purpose="Attendre que la personne confirme son abonnement.",
                ends=(SUBSCRIPTION_REQUESTS,),
                of_address=f"{_BY_ADDRESS} AND requested_at <= :until",
            ),
            PersonalData(
                table=EndedDigestRow,
                whose=Whose.STAFF,
                columns={"address": "empreinte du courriel"},
                purpose="Ne plus envoyer le résumé du jour à qui n’en veut plus.",
                until="la personne le demande de nouveau, ou que la délégation ne lui destine plus ce résumé",
                of_address=_BY_DIGEST,
            ),
            PersonalData(
                table=NewsRow,
                whose=Whose.STAFF,
                columns={"summary": "présentation, qui peut nommer qui intervient"},
                purpose="Annoncer ce qui est en ligne aux personnes qui suivent les nouveautés.",
                until="l’organisateur corrige la présentation dans le catalogue",
            ),
            PersonalData(
                table=BounceRow,
                whose=Whose.ADDRESSEES,
                columns={"address": "empreinte du courriel", "report": "empreinte du rapport de retour"},
                purpose="Ne plus écrire à une adresse dont les courriels reviennent.",
                ends=(BOUNCES,),
                of_agent=_BY_DIGEST,
                of_address=_BY_DIGEST,
            ),
            PersonalData(
                table=SuppressionRow,
                whose=Whose.ADDRESSEES,
                columns={"address": "empreinte du courriel"},
                purpose="Ne plus écrire à une adresse dont les courriels reviennent.",
                ends=(SUPPRESSIONS,),
                of_agent=_BY_DIGEST,
                of_address=_BY_DIGEST,
            ),
        ],
        [
            MAILS,
            TIMELINE,
            ENDED,
            PAST,
            TRAINERS,
            FORMER_ADDRESSES,
            AGENT_DETAILS,
            ENDED_SUBSCRIPTIONS,
            BOUNCES,
            SUPPRESSIONS,
            SUBSCRIPTION_REQUESTS,
            LOG_INS_ASKED,
            LOG_INS,
            FAN_OUTS,
            DOMAIN_RATES,
        ],
    )
)
