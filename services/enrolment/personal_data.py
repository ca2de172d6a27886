from collections.abc import Mapping
from uuid import UUID

from sqlmodel import SQLModel

from services.enrolment.tables import (
    ERASED,
    AcceptedEventRow,
    AddressHoldRow,
    ArrivalRow,
    AttendanceRow,
    BadAddressRow,
    BespokeTaskRow,
    CertificateRow,
    CorrectionRow,
    EnrolmentChangeRow,
    EnrolmentRow,
    MessageRow,
    NewAddressRow,
    NoteRow,
    QuestionAnswerRow,
    RankingDraftRow,
    RequestOutcomeRow,
    RequestRow,
    SessionChangeRow,
)
from shared import limits, read_log
from shared.events.enrolment import ParticipantsMessaged
from shared.messaging import personal_data as messaging
from shared.messaging.tables import OutboxRow
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose
from shared.web import logins

_WITH_ENROLMENT: Mapping[type[SQLModel], str] = {
    EnrolmentChangeRow: "enrolment_id",
    AttendanceRow: "enrolment_id",
    CertificateRow: "enrolment_id",
    QuestionAnswerRow: "enrolment_id",
    NoteRow: "enrolment_id",
    ArrivalRow: "enrolment_id",
}
_AGENT = {"issuer": "qui a donné l’identifiant de l’agent", "agent_id": "identifiant de l’agent"}

ENDED = Retention(
    table=EnrolmentRow,
    days="enrolment_ended_kept_days",
    since="le refus, le désistement, l’annulation ou la fin de la liste d’attente",
    over="state IN ('refused', 'lapsed', 'not_obtained', 'withdrawn', 'session_cancelled') "
    "AND updated_at < :before",
    key="enrolment_id",
    with_rows_of=_WITH_ENROLMENT,
)
ATTENDANCE = Retention(
    table=EnrolmentRow,
    days="enrolment_attendance_kept_days",
    since="la fin de la session",
    over="session_id IN (SELECT session_id FROM session "
    "WHERE CAST(state->>'ends_at' AS timestamptz) < :before)",
    key="enrolment_id",
    with_rows_of=_WITH_ENROLMENT,
)
ANSWERS = Retention(
    table=QuestionAnswerRow,
    days=0,
    since="le délai que dit la question, compté de la fin de la session (30 jours, sauf si l’organisateur en "
    "choisit un autre, de 1 à 365 ; 30 au plus pour un aménagement)",
    over="EXISTS (SELECT FROM enrolment JOIN session USING (session_id) "
    "WHERE enrolment.enrolment_id = question_answer.enrolment_id "
    "AND CAST(session.state->>'ends_at' AS timestamptz) + make_interval(days => kept_days) < :before)",
)
ANSWERS_OF_ENDED = Retention(
    table=QuestionAnswerRow,
    days=0,
    since="le désistement, le refus ou l’annulation",
    over="enrolment_id IN (SELECT enrolment_id FROM enrolment WHERE state IN "
    "('refused', 'lapsed', 'not_obtained', 'withdrawn', 'session_cancelled') AND updated_at < :before)",
)
REQUESTS = Retention(
    table=RequestRow,
    days="enrolment_ended_kept_days",
    since="la réponse à la demande",
    over="decided_at < :before",
)
CORRECTIONS = Retention(
    table=CorrectionRow,
    days="enrolment_ended_kept_days",
    since="la correction",
    over="received_at < :before",
)
UNUSED_CORRECTIONS = Retention(
    table=CorrectionRow,
    days="dead_letters_kept_days",
    since="la correction, si rien n’était à corriger",
    over="before = '[]' AND received_at < :before",
)
"""Kept as long as an earlier request may wait for its decision."""
NEW_ADDRESSES = Retention(
    table=NewAddressRow,
    days=1,
    since="la demande",
    over="given_at < :before",
)
"""Kept as long as the confirmation link is valid."""
RANKING_DRAFTS = Retention(
    table=RankingDraftRow,
    days=0,
    since="la fin de la session",
    over="session_id IN (SELECT session_id FROM session "
    "WHERE CAST(state->>'ends_at' AS timestamptz) < :before)",
)
MESSAGES = Retention(
    table=MessageRow,
    days="enrolment_ended_kept_days",
    since="l’envoi du message",
    over="published_at < :before",
)
BAD_ADDRESSES = Retention(
    table=BadAddressRow,
    days="enrolment_ended_kept_days",
    since="le dernier courriel revenu",
    over="since < :before",
)
ADDRESS_HOLDS = Retention(
    table=AddressHoldRow,
    days=0,
    since="le lendemain de la correction",
    over="until < :before",
)
ACCEPTED_EVENTS = Retention(
    table=AcceptedEventRow, days=30, since="la réception", over="accepted_at < :before"
)
"""Within this time a portal may repeat an event by HTTP."""
BESPOKE_TASKS = Retention(
    table=BespokeTaskRow,
    days="enrolment_ended_kept_days",
    since="la dernière réponse à la demande",
    over="since < :before",
)
OUTCOMES = Retention(
    table=RequestOutcomeRow,
    days=30,
    since="la dernière réponse",
    over="at < :before AND NOT EXISTS (SELECT FROM request_outcome AS newer "
    "WHERE newer.request_id = request_outcome.request_id "
    "AND newer.request_source = request_outcome.request_source AND newer.at >= :before)",
)
"""Kept as long as the portal's feed has the answers."""

_TO_DECIDE = "Décider des inscriptions et pouvoir dire pourquoi."

_OWN = "issuer = :issuer AND agent_id = :agent_id"
_ENROLMENTS = f"SELECT enrolment_id FROM enrolment WHERE {_OWN} AND received_at <= :until"  # noqa: S608 our own
_AUTHOR = "facts->>'author'"
_CORRECTED_BY = "facts->>'address_corrected_by'"
_OF_ENROLMENT = f"enrolment_id IN ({_ENROLMENTS})"
_IDS = f"ARRAY(SELECT CAST(enrolment_id AS text) FROM ({_ENROLMENTS}) AS own)"  # noqa: S608 our own
_OTHERS_CHOSEN = f"enrolment_ids - {_IDS}"
_TEXT_ENDS = f"published_at IS NOT NULL OR {_OTHERS_CHOSEN} = '[]'"

_IN_SESSION_READ = (
    "EXISTS (SELECT FROM enrolment AS own WHERE own.session_id = read_log.session_id "
    "AND own.issuer = :issuer AND own.agent_id = :agent_id AND own.received_at <= read_log.at)"
)

REGISTER = (
    messaging.REGISTER
    + logins.REGISTER
    + limits.REGISTER
    + read_log.register(of_session=_IN_SESSION_READ)
    + Register(
        [
            PersonalData(
                table=AttendanceRow,
                whose=Whose.AGENTS,
                columns={"attendance": "présence à chaque séance"},
                purpose="Établir les attestations et rendre compte aux employeurs.",
                ends=(ATTENDANCE,),
                of_agent=_OF_ENROLMENT,
            ),
            PersonalData(
                table=CertificateRow,
                whose=Whose.AGENTS,
                columns={
                    "code": "code de vérification de l’attestation",
                    "void_codes": "codes des attestations qui ne valent plus",
                },
                purpose="Vérifier une attestation que quelqu’un présente.",
                ends=(ATTENDANCE,),
                of_agent=_OF_ENROLMENT,
            ),
            # Before the enrolments: their ids find the messages that name chosen recipients.
            PersonalData(
                table=MessageRow,
                whose=Whose.AGENTS,
                columns={
                    "enrolment_ids": "inscriptions des personnes que l’organisateur a choisies",
                    "text": "ce que l’organisateur leur a écrit, qui peut les nommer",
                    "link": "le lien qui va avec",
                },
                purpose="Écrire aux personnes choisies parmi celles d’une session.",
                ends=(MESSAGES,),
                of_agent=f"jsonb_exists_any(enrolment_ids, {_IDS})",
                emptied={
                    "enrolment_ids": _OTHERS_CHOSEN,
                    "text": f"CASE WHEN {_TEXT_ENDS} THEN '' ELSE text END",
                    "link": f"CASE WHEN {_TEXT_ENDS} THEN NULL ELSE link END",
                    # The message has no recipient left, so it does not leave.
                    "published_at": f"CASE WHEN {_TEXT_ENDS} THEN coalesce(published_at, now()) END",
                },
                of_others=("enrolment_ids",),
            ),
            PersonalData(
                table=OutboxRow,
                whose=Whose.AGENTS,
                columns={"data": "message à des personnes choisies, et leurs inscriptions"},
                purpose="Transmettre le message à qui écrit les courriels, une seule fois.",
                ends=(messaging.SENT,),
                of_agent=f"type = '{ParticipantsMessaged.TYPE}' "
                f"AND jsonb_exists_any(CAST(data AS jsonb) -> 'enrolment_ids', {_IDS})",
                emptied=messaging.EVENTS.emptied,
                of_others=("data",),
            ),
            PersonalData(
                table=QuestionAnswerRow,
                whose=Whose.AGENTS,
                columns={
                    "question": "question posée à l’inscription",
                    "value": "réponse, ou aménagement demandé",
                },
                purpose="Organiser la session ; la délégation qui l’organise lit les réponses ; "
                "l’exploitation peut y accéder, et c’est consigné. D’un aménagement, que personne n’est "
                "obligé de demander et qui peut laisser deviner un handicap, ni la raison ni un statut ne "
                "sont demandés.",
                ends=(ANSWERS, ANSWERS_OF_ENDED),
                of_agent=_OF_ENROLMENT,
            ),
            PersonalData(
                table=RankingDraftRow,
                whose=Whose.STAFF,
                columns={"author": "nom du jeton, ou courriel, de qui a enregistré le brouillon"},
                purpose="Savoir qui a enregistré le dernier brouillon d’un classement.",
                ends=(RANKING_DRAFTS,),
                of_address=BY_ADDRESS.format("author"),
                proof=True,
                at="saved_at",
                actor="author",
            ),
            PersonalData(
                table=ArrivalRow,
                whose=Whose.AGENTS,
                columns={"at": "heure d’arrivée à une séance"},
                purpose="Enregistrer les présences.",
                ends=(ENDED, ATTENDANCE),
                of_agent=_OF_ENROLMENT,
            ),
            PersonalData(
                table=ArrivalRow,
                whose=Whose.STAFF,
                columns={"author": "nom du jeton, ou courriel, de qui a pointé l’arrivée"},
                purpose="Savoir qui a pointé une arrivée.",
                ends=(ENDED, ATTENDANCE),
                of_address=BY_ADDRESS.format("author"),
                proof=True,
                actor="author",
            ),
            PersonalData(
                table=NoteRow,
                whose=Whose.AGENTS,
                columns={"text": "note de l’organisateur sur l’inscription"},
                purpose="Organiser la session ; la délégation qui l’organise lit les notes.",
                ends=(ENDED, ATTENDANCE),
                of_agent=_OF_ENROLMENT,
            ),
            PersonalData(
                table=NoteRow,
                whose=Whose.STAFF,
                columns={"author": "nom du jeton, ou courriel, de qui a écrit la note"},
                purpose="Savoir qui a écrit une note sur une inscription.",
                ends=(ENDED, ATTENDANCE),
                of_address=BY_ADDRESS.format("author"),
                proof=True,
                at="written_at",
                actor="author",
            ),
            PersonalData(
                table=NoteRow,
                whose=Whose.STAFF,
                columns={"removed_by": "nom du jeton, ou courriel, de qui a retiré la note"},
                purpose="Savoir qui a retiré une note sur une inscription.",
                ends=(ENDED, ATTENDANCE),
                of_address=BY_ADDRESS.format("removed_by"),
                proof=True,
                at="removed_at",
                actor="removed_by",
            ),
            PersonalData(
                table=EnrolmentChangeRow,
                whose=Whose.AGENTS,
                columns={
                    **_AGENT,
                    "state": "où en était l’inscription",
                    "facts": "places et position au moment de la décision, qui l’a prise et pourquoi ; "
                    "l’adresse à laquelle est parti le lien qui a servi, si elle venait d’être corrigée",
                },
                purpose=_TO_DECIDE,
                ends=(ENDED, ATTENDANCE),
                of_agent=_OF_ENROLMENT,
            ),
            PersonalData(
                table=EnrolmentChangeRow,
                whose=Whose.STAFF,
                columns={"facts": "nom du jeton, ou courriel, de qui a relevé, classé ou désinscrit"},
                purpose="Savoir qui a changé une inscription.",
                ends=(ENDED, ATTENDANCE),
                of_address=BY_ADDRESS.format(_AUTHOR),
                proof=True,
                actor=_AUTHOR,
            ),
            PersonalData(
                table=EnrolmentChangeRow,
                whose=Whose.STAFF,
                columns={"facts": "nom du jeton, ou courriel, de qui a corrigé l’adresse qui a reçu le lien"},
                purpose="Savoir à qui a pu être envoyé le lien qui a changé une inscription.",
                ends=(ENDED, ATTENDANCE),
                of_address=BY_ADDRESS.format(_CORRECTED_BY),
                proof=True,
                actor=_CORRECTED_BY,
            ),
            PersonalData(
                table=EnrolmentRow,
                whose=Whose.AGENTS,
                columns={
                    **_AGENT,
                    "agent": "prénom, nom, courriel, fonction, employeur (SIRET, nom, délégation)",
                    "state": "où en est l’inscription",
                    "reason": "raison du refus",
                    "sought": "noms, courriel, employeur et identifiant, pour la recherche",
                },
                purpose=_TO_DECIDE,
                ends=(ENDED, ATTENDANCE),
                of_agent=f"{_OWN} AND received_at <= :until",
                address="agent->>'email'",
            ),
            PersonalData(
                table=RequestRow,
                whose=Whose.AGENTS,
                columns={
                    **_AGENT,
                    "outcome": "réponse",
                    "reason": "raison du refus",
                    "body": "la demande entière, tant qu’elle attend sa session (quelques minutes)",
                    "facts": "les nombres d’après lesquels elle a été décidée ; si un organisateur a inscrit "
                    "l’agent à la main, lequel, et pourquoi au-delà des places",
                },
                purpose=_TO_DECIDE,
                ends=(REQUESTS,),
                of_agent=f"{_OWN} AND received_at <= :until AND decided_at IS NOT NULL",
                # The source and the id stay, so that the same request has no effect if it comes again.
                emptied={
                    "kind": f"'{ERASED}'",
                    "session_id": f"CAST('{UUID(int=0)}' AS uuid)",
                    **dict.fromkeys(
                        ("portal", "issuer", "agent_id", "outcome", "reason", "facts", "body"), "NULL"
                    ),
                },
            ),
            PersonalData(
                table=RequestRow,
                whose=Whose.STAFF,
                columns={"facts": "nom du jeton, ou courriel, de qui a inscrit quelqu’un à la main"},
                purpose="Savoir qui a inscrit quelqu’un à la main.",
                ends=(REQUESTS,),
                of_address=BY_ADDRESS.format(_AUTHOR),
                proof=True,
                actor=_AUTHOR,
                at="decided_at",
            ),
            PersonalData(
                table=RequestRow,
                whose=Whose.OFFICERS,
                columns={"body": "nom et courriel de qui a désigné des stagiaires"},
                purpose="Répondre à qui a désigné des stagiaires.",
                until="la session de la demande soit connue (quelques minutes)",
            ),
            PersonalData(
                table=CorrectionRow,
                whose=Whose.AGENTS,
                columns={
                    **_AGENT,
                    "before": "ce qui a été corrigé : courriel, prénom, nom",
                    "after": "ce qui le remplace",
                    "author": "nom de l’organisateur qui l’a corrigé, s’il y en a un ; « agent » : "
                    "la personne elle-même",
                },
                purpose="Pouvoir dire ce qui a été corrigé, quand et à la demande de qui.",
                ends=(CORRECTIONS, UNUSED_CORRECTIONS),
                of_agent=_OWN,
                address="jsonb_path_query(jsonb_build_array(before, after), 'strict $.**.email') #>> '{}'",
            ),
            PersonalData(
                table=NewAddressRow,
                whose=Whose.AGENTS,
                columns={
                    **_AGENT,
                    "present": "courriel de l’agent quand il en a saisi un autre",
                    "address": "courriel qu’il a saisi, peut-être d’autrui tant qu’il n’est pas confirmé",
                },
                purpose="Écrire à l’agent à l’adresse qu’il a choisie, une fois qu’il l’a confirmée.",
                ends=(NEW_ADDRESSES,),
                of_agent=_OWN,
                address="present",
            ),
            PersonalData(
                table=NewAddressRow,
                whose=Whose.ADDRESSEES,
                columns={"address": "courriel qu’un agent a saisi comme le sien"},
                purpose="Demander à qui lit cette adresse si elle est celle de l’agent.",
                ends=(NEW_ADDRESSES,),
                of_address=BY_ADDRESS.format("address"),
                of_others=("request_id", "enrolment_id", *_AGENT, "present"),
            ),
            PersonalData(
                table=AddressHoldRow,
                whose=Whose.AGENTS,
                columns={**_AGENT, "address": "courriel de l’agent avant une correction"},
                purpose="Laisser un jour à qui lit l’ancienne adresse pour s’opposer à la correction.",
                ends=(ADDRESS_HOLDS,),
                of_agent=_OWN,
                address="address",
            ),
            PersonalData(
                table=CorrectionRow,
                whose=Whose.STAFF,
                columns={"author": "nom du jeton, ou courriel, de qui a corrigé"},
                purpose="Savoir qui a corrigé une inscription.",
                ends=(CORRECTIONS, UNUSED_CORRECTIONS),
                of_address=BY_ADDRESS.format("author"),
                proof=True,
                at="received_at",
                actor="author",
            ),
            PersonalData(
                table=MessageRow,
                whose=Whose.STAFF,
                columns={
                    "author": "nom du jeton, ou courriel, de qui a écrit",
                    "text": "ce que l’organisateur a écrit",
                },
                purpose="Écrire à qui participe à une session, et pouvoir dire qui a écrit quoi.",
                ends=(MESSAGES,),
                of_address=BY_ADDRESS.format("author"),
                proof=True,
                at="created_at",
                actor="author",
            ),
            PersonalData(
                table=BadAddressRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant de l’agent dont les courriels reviennent",
                },
                purpose="Prévenir les organisateurs qu’un agent ne reçoit pas ses courriels.",
                ends=(BAD_ADDRESSES,),
                of_agent=_OWN,
            ),
            PersonalData(
                table=SessionChangeRow,
                whose=Whose.AGENTS,
                columns={
                    "issuer": "qui a donné l’identifiant de l’agent",
                    "agent_id": "identifiant du dernier agent prévenu",
                },
                purpose="Prévenir chaque personne d’un changement de session, une seule fois.",
                until="chacune soit prévenue (quelques minutes)",
            ),
        ],
        [
            ANSWERS,
            ANSWERS_OF_ENDED,
            ENDED,
            ATTENDANCE,
            REQUESTS,
            CORRECTIONS,
            UNUSED_CORRECTIONS,
            NEW_ADDRESSES,
            ADDRESS_HOLDS,
            MESSAGES,
            BAD_ADDRESSES,
            ACCEPTED_EVENTS,
            OUTCOMES,
            BESPOKE_TASKS,
        ],
    )
)
