"""French labels of codes, in pages, letters, sheets and certificates.

Each table has all members of its enum. Codes of one service have text keys, because nothing here imports a
service.
"""

from collections.abc import Mapping
from uuid import UUID

from shared.events.enrolment import Attendance
from shared.events.reasons import Reason
from shared.events.vocabulary import (
    Adjustment,
    ApprovalPolicy,
    Delegation,
    Format,
    Function,
    QuestionKind,
    Status,
    WaitingList,
)
from shared.references import reference_of

FORMATS: Mapping[Format, str] = {
    Format.MOOC: "Mooc",
    Format.WEBINAR: "Webinaire",
    Format.LOCAL_EVENT: "Rendez-vous local",
    Format.BESPOKE: "Formation sur mesure",
    Format.INET: "Offre de l’Inet",
}
STATUSES: Mapping[Status, str] = {
    Status.DRAFT: "Brouillon",
    Status.PUBLISHED: "Publiée",
    Status.CANCELLED: "Annulée",
}
WAITING_LISTS: Mapping[WaitingList, str] = {
    WaitingList.NONE: "sans liste d’attente",
    WaitingList.AUTOMATIC: "avec liste d’attente : une place libérée est attribuée d’office",
    WaitingList.OFFER: "avec liste d’attente : une place libérée est proposée à la personne suivante",
}
APPROVALS: Mapping[ApprovalPolicy, str] = {
    ApprovalPolicy.NONE: "sans accord préalable",
    ApprovalPolicy.EMPLOYER: "avec l’accord de l’employeur",
    ApprovalPolicy.SELECTION: "sur candidature, avec sélection",
    ApprovalPolicy.EMPLOYER_THEN_SELECTION: "avec l’accord de l’employeur, puis sur sélection",
}
FUNCTIONS: Mapping[Function, str] = {
    Function.AGENT: "agente ou agent",
    Function.ENCADRANT: "encadrement",
    Function.CHEF_DE_SERVICE: "direction de service",
    Function.DIRIGEANT: "direction générale",
}
ADJUSTMENTS: Mapping[Adjustment, str] = {
    Adjustment.SIGN_LANGUAGE: "interprétation en langue des signes",
    Adjustment.LIVE_CAPTIONS: "sous-titrage en direct",
    Adjustment.HEARING_LOOP: "boucle magnétique",
    Adjustment.WHEELCHAIR_ACCESS: "accès en fauteuil roulant",
    Adjustment.LARGE_PRINT: "documents en gros caractères",
    Adjustment.ACCESSIBLE_DOCUMENTS: "documents lisibles par un lecteur d’écran",
    Adjustment.CONTACT_ME: "un autre aménagement, à préciser ensemble",
}
QUESTION_KINDS: Mapping[QuestionKind, str] = {
    QuestionKind.TEXT: "un texte",
    QuestionKind.CHOICE: "un choix",
    QuestionKind.YES_NO: "oui ou non",
    QuestionKind.NUMBER: "un nombre",
    QuestionKind.ADJUSTMENT: "un aménagement",
}
AUDIENCES: Mapping[Function, str] = {
    Function.AGENT: "agentes et agents",
    Function.ENCADRANT: "encadrantes et encadrants",
    Function.CHEF_DE_SERVICE: "cheffes et chefs de service",
    Function.DIRIGEANT: "dirigeantes et dirigeants",
}
ATTENDANCE: Mapping[Attendance, str] = {
    Attendance.ATTENDED: "présence",
    Attendance.ABSENT: "absence",
    Attendance.ABSENT_JUSTIFIED: "absence justifiée",
}
ENROLMENT_STATES: Mapping[str, str] = {
    "pending_approval": "En attente de l’accord de votre employeur",
    "pending_selection": "En attente de la sélection",
    "waitlisted": "Sur la liste d’attente",
    "offered": "Une place vous est proposée",
    "enrolled": "Inscription confirmée",
    "attended": "Présence enregistrée",
    "absent": "Absence enregistrée",
    "absent_justified": "Absence justifiée",
    "certified": "Attestation disponible",
    "refused": "Demande non acceptée",
    "lapsed": "La place proposée n’est plus réservée",
    "not_obtained": "Vous n’avez pas obtenu de place",
    "withdrawn": "Désistement enregistré",
    "session_cancelled": "Session annulée",
}
ENROLMENT_CAUSES: Mapping[str, str] = {
    "employer": "Votre employeur a mis fin à l’inscription",
    "replaced": "Votre employeur a mis fin à l’inscription",
    "moved": "Vous avez changé de session",
    "joined": "Une autre de vos inscriptions à cette session est gardée",
    "priority": "Place sur la liste d’attente changée par l’organisateur",
    "offer_shortened": "Délai de réponse raccourci, la session ayant été avancée",
    "session_cancelled": "Session annulée",
    "offer_cut": "La session a été avancée\u00a0: la place proposée n’est plus réservée",
    "line_cut": "La session a été avancée\u00a0: vous n’avez pas obtenu de place",
    "line_ended_at_quota": "Vous n’avez pas obtenu de place\u00a0: votre collectivité a toutes les siennes",
    "approval_missing": "Sans l’accord de votre employeur à la clôture des inscriptions",
    "selection_missing": "Sans sélection à la fin de la session",
}
ROSTER_STATES: Mapping[str, str] = {
    "enrolled": "inscription confirmée",
    "attended": "présence enregistrée",
    "absent": "absence",
    "absent_justified": "absence justifiée",
    "certified": "attestation délivrée",
    "offered": "place proposée",
    "waitlisted": "liste d’attente",
    "pending_approval": "attend l’accord de l’employeur",
    "pending_selection": "attend la sélection",
    "refused": "refus",
    "lapsed": "proposition restée sans suite",
    "not_obtained": "sans place à la fin de la liste d’attente",
    "withdrawn": "désistement",
    "session_cancelled": "session annulée",
}
ROSTER_CAUSES: Mapping[str, str] = {
    "withdrawal": "Désistement à la demande de l’agente ou de l’agent",
    "employer": "Désistement à la demande de l’employeur",
    "moved": "Changement pour une autre session",
    "joined": "Réunie avec une autre inscription de la même personne",
    "replaced": "Absente d’une liste de stagiaires plus récente",
    "seat_freed": "Place libérée",
    "offer_accepted": "Place proposée, acceptée",
    "offer_declined": "Place proposée, refusée",
    "offer_expired": "Place proposée, sans réponse",
    "line_ended": "Fin de la liste d’attente",
    "line_ended_at_quota": "Fin de la liste d’attente, le quota de la collectivité étant atteint",
    "line_cut": "Fin de la liste d’attente, la session ayant été avancée",
    "offer_cut": "Proposition terminée, la session ayant été avancée",
    "offer_shortened": "Délai de réponse raccourci, la session ayant été avancée",
    "approval_granted": "Accord de l’employeur",
    "approval_denied": "Refus de l’employeur",
    "approval_missing": "Sans accord de l’employeur à la clôture",
    "approval_dropped": "La session ne demande plus d’accord",
    "selection": "Sélection",
    "selection_missing": "Sans sélection à la fin de la session",
    "priority": "Priorité changée",
    "attendance": "Présence",
    "session_cancelled": "Session annulée",
}
ROSTER_CAUSES_BY_LINK: Mapping[str, str] = {
    "withdrawal": "Désistement",
    "offer_accepted": "Place proposée, acceptée par un lien",
    "offer_declined": "Place proposée, refusée par un lien",
}
"""If the agent's address had been corrected shortly before, a link is not the agent's own word."""
CORRECTED_BY: Mapping[str, str] = {
    "agent": "un lien envoyé à celle d’avant",
    "portal": "le portail",
    "support": "l’assistance",
}
"""Organisers are known by their names."""
ENROLMENT_FIELDS: Mapping[str, str] = {
    "given_name": "Prénom",
    "family_name": "Nom",
    "email": "Courriel",
    "function": "Fonction",
    "employer": "Employeur",
    "siret": "SIRET de l’employeur",
    "delegation": "Délégation de l’employeur",
    "above_capacity": "Motif au-delà de la capacité",
    "reason": "Motif",
    "by": "À la demande de",
    "answer": "Réponse",
    "heard": "Comment vous le savez",
    "priority": "Priorité",
    "to_session_id": "Nouvelle session",
    "note": "Note",
    "code": "Référence de l’inscription",
    "liste": "Liste",
    "texte": "Message",
    "audience": "À qui",
    "fichier": "Fichier",
    "lien": "Lien",
    "envoi": "Envoi",
    "rang": "Rang",
    "non": "Non retenue",
    "p": "Présence",
    "question": "Réponse",
}
"""Fields of organisers' forms; the last exist for each person or question."""
RESOURCES: Mapping[str, str] = {
    "replay": "Replay",
    "dossier": "Dossier documentaire",
    "community": "E-communauté",
}
NEWS: Mapping[str, str] = {
    "replay": "Nouveau replay",
    "dossier": "Nouveau dossier documentaire",
    "community": "Nouvelle e-communauté",
    "session": "Nouvel événement",
    "opening": "Inscriptions ouvertes",
}
LETTERS: Mapping[str, str] = {
    "enrolment-confirmed": "Votre inscription est confirmée",
    "seat-assigned": "Vous avez obtenu une place",
    "waitlisted": "Vous êtes sur la liste d’attente",
    "seat-offered": "Une place s’est libérée, à confirmer",
    "offer-lapsed": "La place proposée n’est plus réservée",
    "moved": "Votre changement de session est enregistré",
    "seat-not-obtained": "Vous n’avez pas obtenu de place",
    "pending": "Votre demande d’inscription est bien reçue",
    "refused": "Votre demande d’inscription n’est pas acceptée",
    "already-enrolled": "Rien ne change pour votre inscription",
    "withdrawal-refused": "Votre désistement n’a pas pu être enregistré",
    "offer-refused": "Votre réponse n’a pas pu être prise en compte",
    "move-refused": "Votre changement de session n’est pas possible",
    "withdrawn": "Votre désistement est enregistré",
    "session-cancelled": "Session annulée",
    "joining-instructions": "Votre convocation",
    "reminder-week": "Rappel de votre session",
    "reminder-day": "Rappel de votre session",
    "session-changed": "Votre session a changé",
    "module-cancelled": "Une séance est annulée",
    "session-changed-waiting": "La session demandée a changé",
    "replay-available": "Le replay est disponible",
    "certificate": "Votre attestation est disponible",
    "certificate-void": "Votre attestation n’est plus valable",
    "evaluation": "Votre avis sur la session",
    "bespoke-received": "Votre demande de formation sur mesure est bien reçue",
    "bespoke-answered": "Réponse à votre demande de formation sur mesure",
    "news": "Nouveautés",
    "confirm-subscription": "Confirmez votre abonnement",
    "my-enrolments": "Le lien vers vos inscriptions",
    "confirm-address": "Confirmez votre adresse électronique",
    "address-given": "Une autre adresse électronique a été indiquée",
    "address-corrected": "Votre adresse électronique a été corrigée",
    "minimum-missed": "Minimum non atteint, à décider",
    "selection-due": "Des candidatures sont à classer",
    "nomination-answered": "Votre liste de stagiaires est traitée",
    "webhook-disabled": "Votre webhook est désactivé",
    "mails-returned": "Des courriels n’arrivent pas",
    "digest": "Résumé du jour",
    "trainer-named": "Vous intervenez dans une session",
    "trainer-session-changed": "La session où vous intervenez a changé",
    "trainer-session-cancelled": "La session où vous deviez intervenir est annulée",
    "organiser-message": "Message de l’organisateur",
}
MAIL_STATES: Mapping[str, str] = {
    "pending": "en attente",
    "claimed": "en cours d’envoi",
    "data_started": "en cours d’envoi",
    "sent": "remis au serveur de messagerie",
    "retry": "à réessayer",
    "failed": "échec",
    "ambiguous": "incertain\u00a0: peut-être parti",
    "superseded": "sans objet, non envoyé",
}
MAIL_DECISIONS: Mapping[str, str] = {
    "sent again as": "envoyé de nouveau, sous le numéro",
    "sent again on purpose, after": "envoyé à la demande, après le courriel",
    "resolved as sent": "déclaré arrivé",
    "resent": "remis en file d’envoi",
}
STANDINGS: Mapping[str, str] = {
    **{name: ENROLMENT_STATES[name] for name in ("enrolled", "waitlisted", "offered", "lapsed")},
    **{name: ENROLMENT_STATES[name] for name in ("not_obtained", "refused", "withdrawn")},
    "pending": "En attente d’une réponse",
}
HAPPENINGS: Mapping[str, str] = {
    "enrolled": "Place obtenue",
    "waitlisted": "Mise en liste d’attente",
    "offered": "Place proposée",
    "lapsed": "Place proposée, puis perdue",
    "not_obtained": "Liste d’attente terminée sans place",
    "pending": "Demande en attente d’une réponse",
    "enrolment_refused": "Demande non acceptée",
    "withdrawal_refused": "Désistement non accepté",
    "offer_refused": "Réponse à une place proposée non acceptée",
    "approval_refused": "Accord de l’employeur sans effet",
    "swap_refused": "Changement de session non accepté",
    "withdrawn": "Inscription terminée",
    "attended": "Présence enregistrée",
    "absent": "Absence enregistrée",
    "absent_justified": "Absence justifiée enregistrée",
    "corrected": "Coordonnées corrigées",
    "address_given": "Nouvelle adresse donnée, à confirmer",
    "subscribed": "Abonnement aux nouveautés",
    "unsubscribed": "Abonnement aux nouveautés arrêté",
}
PORTAL_REQUESTS: Mapping[str, str] = {
    "EnrolmentRequested": "Demande de place",
    "GroupEnrolmentRequested": "Demande de groupe",
    "WithdrawalRequested": "Désistement",
    "ApprovalDecided": "Avis de l’employeur",
    "SeatOfferAnswered": "Réponse à une place proposée",
    "SessionSwapRequested": "Changement de session",
    "BespokeTrainingRequested": "Demande de formation sur mesure",
    "TraineesNominated": "Liste de stagiaires",
    "SubscriptionChanged": "Abonnement",
    "AgentCorrected": "Correction des coordonnées",
    "AgentErasureRequested": "Demande d’effacement",
}
REFUSALS: Mapping[str, str] = {reason.value: reason.refusal.label for reason in Reason}
HAPPENED_BECAUSE: Mapping[str, str] = {
    "from_waiting_list": "depuis la liste d’attente",
    "moved_here": "par un changement de session",
    "moved_away": "pour une autre session de la même offre",
    "joined": "une autre de ses inscriptions à la session est gardée",
    "agent": "à sa demande",
    "employer": "à la demande de l’employeur",
    "session_cancelled": "session annulée",
    "expired": "sans réponse à temps",
    "declined": "refusée par la personne",
    "employer_approval": "accord de l’employeur attendu",
    "selection": "sélection attendue",
    "certified": "attestation due",
    "organiser": "par un organisateur",
    "portal": "par le portail",
    "support": "par l’assistance",
}
HAPPENED_AFTER_CORRECTION: Mapping[str, str] = {
    "agent": "sur une demande faite en son nom, peut-être par un lien envoyé à l’adresse corrigée peu avant",
    "declined": "refusée en son nom, peut-être par un lien envoyé à l’adresse corrigée peu avant",
}
"""Why something happened within a month of a correction: it is not the person's own word."""
COUNTED: Mapping[str, str] = {
    "asked": "Demandes",
    "enrolled": "Places obtenues",
    "waitlisted": "Mises en attente",
    "refused": "Refus",
    "withdrawn": "Fins d’inscription",
    "attended": "Présences",
    "absent": "Absences",
    "absent_justified": "Absences justifiées",
    "letters": "Courriels envoyés",
}
OUTCOMES: Mapping[str, str] = {
    **ENROLMENT_STATES,
    "mixed": "Réponse différente selon les personnes",
    "unchanged": "Rien n’a changé",
}
REQUESTS: Mapping[str, str] = {
    "SeatRequest": "demande d’inscription",
    "GroupRequest": "demande d’inscription d’un groupe",
    "Nomination": "désignation par la collectivité",
    "Withdrawal": "désistement",
    "ApprovalDecision": "réponse de l’employeur",
    "OfferAnswer": "réponse à une place proposée",
    "Swap": "changement de session",
    "erased": "demande effacée",
}
READS: Mapping[str, str] = {
    "person": "personne, cherchée ou montrée avec ce qui lui est arrivé",
    "mails": "liste des courriels",
    "mail": "courriel",
    "letter": "texte d’un courriel",
    "roster": "liste des personnes inscrites à la session",
    "sheet": "feuille des personnes inscrites à la session",
    "certificate": "attestation",
    "request": "demande",
    "enrolments": "inscriptions",
    "explanation": "explication d’une décision",
    "export": "relevé de toutes les données",
    "address": "identifiant, cherché par le courriel",
    "answers": "réponses à un portail",
    "bespoke": "demande de formation sur mesure",
    "dead_letter": "demande mise de côté",
    "event": "événement",
    "correction": "rectification demandée",
    "erasure": "effacement demandé",
    "written_again": "adresse à laquelle on écrit de nouveau",
}
SUPPORT_FIELDS: Mapping[str, str] = {
    "cherche": "Personne cherchée",
    "motif": "Motif de la consultation",
    "agent": "Identifiant",
    "emetteur": "Émetteur de l’identifiant",
    "nouvelle": "Nouvelle adresse",
    "encore": "Encore une fois",
    "raison": "Pourquoi rien n’est perdu",
}
RECIPIENTS: Mapping[str, str] = {
    "demandeur": "collectivité",
    "designation": "collectivité",
    "organisation": "délégation",
    "adresse": "nouvelle adresse",
    "abonnement": "abonnement",
    "formateur": "formatrice ou formateur",
}
SUBSCRIBER_FIELDS: Mapping[str, str] = {"adresse": "Adresse", "interet": "Abonnements"}
ROLES: Mapping[str, str] = {"admin": "exploitation", "organiser": "organisation", "support": "assistance"}
AREAS: Mapping[str, str] = {
    "organisers": "Espace des délégations",
    "support": "Assistance",
    "operations": "Exploitation",
}
STAFF_PAGES: Mapping[str, str] = {
    "today": "Aujourd’hui",
    "sessions": "Mes sessions",
    "new_session": "Nouvelle session",
    "offers": "Offres",
    "resources": "Ressources",
    "bespoke": "Demandes",
    "figures": "Chiffres",
    "people": "Personnes",
    "mails": "Courriels",
    "erasure": "Effacer des données",
    "status": "État",
    "incidents": "Incidents",
}
LOG_IN_LEADS: Mapping[str, str] = {
    "gestion": "Pour créer, modifier et publier les sessions de votre délégation.",
    "inscriptions": "Pour suivre les inscriptions aux sessions de votre délégation.",
    "chiffres": "Pour voir les chiffres de votre délégation.",
    "courriels": "Réservé à l’assistance.",
    "exploitation": "Réservé à l’exploitation et à l’assistance.",
}
RETURNS: Mapping[str, str] = {"hard": "adresse inconnue", "soft": "échec passager"}
INTERESTS: Mapping[str, str] = {
    "theme": "thème",
    "delegation": "délégation",
    "community": "communauté",
    "offer": "ouverture des inscriptions",
}
FOLLOWED: Mapping[str, str] = {
    "community": "E-communauté « {} »",
    "opening": "Inscriptions ouvertes : « {} »",
    "events": "Événements de {}",
    "other_events": "Événements du CNFPT ({})",
}
SERVICES: Mapping[str, str] = {
    "catalogue": "Catalogue",
    "enrolment": "Inscriptions",
    "notifier": "Courriels",
}

RESOURCES_PLURAL: Mapping[str, str] = {
    "replay": "Replays",
    "dossier": "Dossiers documentaires",
    "community": "E-communautés",
}
PUBLISHED: Mapping[str, str] = {"replay": "Mis en ligne", "dossier": "Publié", "community": "Ouverte"}
BESPOKE_STATES: Mapping[str, str] = {
    "received": "À traiter",
    "qualified": "En instruction",
    "proposed": "Proposition faite",
    "agreed": "Session convenue",
    "declined": "Refusée",
}
BESPOKE_ANSWERS: Mapping[str, str] = {
    "qualified": "La demande est recevable et nous préparons une proposition",
    "proposed": "Voici notre proposition",
    "agreed": "Nous sommes d’accord\u00a0: voici la session",
    "declined": "Nous ne pouvons pas répondre favorablement",
}
ACTIONS: Mapping[str, str] = {
    "created": "brouillon créé",
    "duplicated": "copiée d’une autre session",
    "imported": "importée d’un fichier",
    "loaded": "chargée avec l’offre",
    "changed": "modifiée",
    "published": "publiée",
    "cancelled": "annulée",
    "withdrawn": "retirée",
    "restored": "remise",
    "deleted": "supprimée",
    "agreed": "créée en réponse à une collectivité",
    "answered": "réponse donnée",
    "handed_over": "confiée à une autre personne",
}
ONLINE = "En ligne"
THEMES: Mapping[str, str] = {
    "enjeux-ia": "Enjeux de l’intelligence artificielle",
    "usages-service-public": "Usages de l’IA dans les services publics",
    "risques-et-responsabilite": "Risques et usage responsable de l’IA",
    "souverainete-des-donnees": "Souveraineté des données",
    "transition-ecologique": "IA et transition écologique",
    "transition-numerique": "Management de la transition numérique",
    "evolution-des-metiers": "Évolution des métiers territoriaux",
}
"""Events have only the slugs of themes. A test compares these with the catalogue."""
OFFERS: Mapping[str, str] = {
    "mooc-fondamentaux-ia": "Les fondamentaux de l’IA",
    "webinaires-acculturation-ia": "Webinaires d’acculturation à l’IA",
    "ia-et-territoires": "IA et territoires : le CNFPT s’engage pour développer les compétences",
    "inet-conduire-transition-numerique": "Conduire la transition numérique de sa collectivité",
}
BESPOKE_OFFERS: Mapping[str, str] = {
    "sur-mesure-enjeux-ia": "S’approprier les enjeux de l’IA",
    "sur-mesure-transition-numerique": "Manager la transition numérique",
    "sur-mesure-evolution-des-metiers": "Faire évoluer les pratiques professionnelles avec l’IA",
}
"""Each session of these offers is private to one authority, so only that authority sees its title."""
ZONES: Mapping[str, str] = {
    "Europe/Paris": "Paris",
    "America/Guadeloupe": "la Guadeloupe",
    "America/Martinique": "la Martinique",
    "America/Cayenne": "la Guyane",
    "Indian/Reunion": "La Réunion",
    "Indian/Mayotte": "Mayotte",
}

ORGANISERS: Mapping[Delegation, str] = {
    Delegation.AUVERGNE_RHONE_ALPES: "la délégation Auvergne-Rhône-Alpes du CNFPT",
    Delegation.BOURGOGNE_FRANCHE_COMTE: "la délégation Bourgogne-Franche-Comté du CNFPT",
    Delegation.BRETAGNE: "la délégation Bretagne du CNFPT",
    Delegation.CENTRE_VAL_DE_LOIRE: "la délégation Centre-Val de Loire du CNFPT",
    Delegation.CORSE: "la délégation Corse du CNFPT",
    Delegation.GRAND_EST: "la délégation Grand Est du CNFPT",
    Delegation.HAUTS_DE_FRANCE: "la délégation Hauts-de-France du CNFPT",
    Delegation.ILE_DE_FRANCE: "la délégation Île-de-France du CNFPT",
    Delegation.NORMANDIE: "la délégation Normandie du CNFPT",
    Delegation.NOUVELLE_AQUITAINE: "la délégation Nouvelle-Aquitaine du CNFPT",
    Delegation.OCCITANIE: "la délégation Occitanie du CNFPT",
    Delegation.PAYS_DE_LA_LOIRE: "la délégation Pays de la Loire du CNFPT",
    Delegation.PROVENCE_ALPES_COTE_D_AZUR: "la délégation Provence-Alpes-Côte d’Azur du CNFPT",
    Delegation.GUADELOUPE: "la délégation Guadeloupe du CNFPT",
    Delegation.GUYANE: "la délégation Guyane du CNFPT",
    Delegation.LA_REUNION: "la délégation La Réunion du CNFPT",
    Delegation.MARTINIQUE: "la délégation Martinique du CNFPT",
    Delegation.MAYOTTE: "la délégation Mayotte du CNFPT",
    Delegation.INET: "l’Inet, école du CNFPT",
    Delegation.INSET_ANGERS: "l’Inset d’Angers, école du CNFPT",
    Delegation.INSET_DUNKERQUE: "l’Inset de Dunkerque, école du CNFPT",
    Delegation.INSET_MONTPELLIER: "l’Inset de Montpellier, école du CNFPT",
    Delegation.INSET_NANCY: "l’Inset de Nancy, école du CNFPT",
}


def organiser(code: str) -> str:
    """A code of a newer contract gives ``le CNFPT``."""
    return ORGANISERS[Delegation(code)] if code in ORGANISERS else "le CNFPT"


def organisation(code: str) -> str:
    """Return ``Délégation Bretagne du CNFPT``."""
    name = organiser(code)
    for article in ("la ", "le ", "l’"):
        name = name.removeprefix(article)
    return name[:1].upper() + name[1:]


def delegation(code: str) -> str:
    """Return ``Bretagne`` or ``Inset d’Angers``."""
    name = organiser(code).removesuffix(", école du CNFPT").removesuffix(" du CNFPT")
    return name.removeprefix("la délégation ").removeprefix("l’")


_SESSION_TABS = (
    ("historique", "/historique", "Suivi"),
    ("participants", "", "Participants"),
    ("attente", "/attente", "Attente"),
    ("candidatures", "/candidatures", "Candidatures"),
    ("presence", "/presence", "Présence"),
    ("messages", "/messages", "Messages"),
)


def session_tabs(
    format_: Format, approval: ApprovalPolicy, enrolled: int, waiting: int
) -> list[tuple[str, str, str]]:
    """Return the session's pages in the enrolment service that apply: code, end of the address, label."""
    applies = {
        "attente": waiting > 0,
        "candidatures": approval is not ApprovalPolicy.NONE or format_ is Format.BESPOKE,
        "presence": format_ is not Format.MOOC and enrolled > 0,
    }
    return [tab for tab in _SESSION_TABS if applies.get(tab[0], True)]


DELEGATIONS: Mapping[str, str] = {code.value: delegation(code) for code in Delegation}


def enrolment_field(name: str) -> str | None:
    """Return a label such as ``Rang, K7QD-2MXA``, or None for an unknown field."""
    group, _, whose = name.partition("-")
    label = ENROLMENT_FIELDS.get(group)
    if label is None or not whose or group == "question":
        return label
    try:
        return f"{label}, {reference_of(UUID(whose))}"
    except ValueError:
        return None
