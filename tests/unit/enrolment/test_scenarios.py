"""The rules of seats, by scenario. ``tests.support.scenarios`` explains the notation and plays them.

Each rule stands in a line of its own. Below it, indented, are its scenarios; a line that begins with ``|``
continues the scenario before.
"""

import re
from collections.abc import Iterator

import pytest

from tests.support.scenarios import play

WAITING_LIST = """
a full session puts the agent on the waiting list
    seats=1 | ask ab > EW
a full session without a waiting list refuses
    seats=1 list=none | ask ab > ER session_full
seats go in the order of receipt
    seats=2 | ask abcde > EEWWW | line cde
the line is by time of receipt, whenever a request is read
    seats=1 | ask a | ask d @during+2minute | ask b @during | ask c @during+minute | line bcd
of one moment, the request that is read first is first
    seats=1 | ask a | ask d | ask b | ask c | line dbc
an agent who leaves the waiting list frees a place and no seat
    seats=1 | ask abc | leave b > EXW | ask d > EXWW | line cd
a freed seat goes to the first in line in the same decision
    seats=1 | ask abc | leave a > XEW
an agent who leaves the line in the same batch is not seated
    seats=1 | ask abc | leave b & leave a > XXE
a request after a seat became free comes behind the waiting list
    seats=1 | ask ab | leave a & ask c > XEW
no seat is given once the session has started and enrolment is closed
    seats=1 | ask ab | at starts | leave a @starts-tick > XW
while a session runs, a freed seat goes to the waiting list
    seats=1 starts=opens ends=closes | ask ab > EW | seats=2 > EE | ask c > EEW
nobody overtakes the waiting list, however late a request is read
    seats=1 | ask ab | at starts | seats=2 > EW | ask c @during > EWW
once no offer can be made, a free seat is for the next request
    seats=1 list=offer closes=starts | ask ab | at last | leave a & ask c > XWE
a seat beside which nobody waits is taken until the deadline
    seats=1 list=offer closes=starts | ask a | at last | leave a & ask b > XE
after a withdrawal the agent queues anew
    seats=1 | ask ab | leave a & ask a > WE
"""

OFFERS = """
a freed seat is offered to the first in line
    seats=1 list=offer | ask abc | leave a > XOW
an offer counts as a seat
    seats=1 list=offer | ask ab | leave a > XO | ask c > XOW
a freed seat makes a single offer
    seats=1 list=offer | ask abcd | leave a > XOWW | due now > XOWW
a seat that nobody waits for is taken without an offer
    seats=1 list=offer | ask a > E
answered yes, the agent is enrolled
    seats=1 list=offer | ask abc | leave a | yes b > XEW
answered no, the offer lapses and the next in line has it
    seats=1 list=offer | ask abc | leave a | no b > XLO
not answered, the offer lapses after a grace and the next in line has it
    seats=1 list=offer | ask abc | leave a | due hold+grace-tick > XOW | due hold+grace > XLO
an answer to an offer counts if it was given before its end
    seats=1 list=offer | ask abc | leave a | due hold+grace-tick | yes b @hold-tick > XEW
    seats=1 list=offer | ask abc | leave a | at hold+minute | ask d & yes b @hold-tick > XEWW
    seats=1 list=offer | ask abc | leave a | at hold | yes b > XOW deadline_passed
    seats=1 list=offer | ask abc | leave a | due hold+grace > XLO | yes b > XLO deadline_passed
an offer that is over stands until all that may answer it is read
    seats=1 list=offer | ask abc | leave a | at hold+grace | ask d > XOWW | yes b @hold > XOWW deadline_passed
    | due now > XLOW
a second yes finds the agent enrolled
    seats=1 list=offer | ask abc | leave a | yes b | yes b > XEW already_enrolled
a no after the yes gives no seat back, a withdrawal does
    seats=1 list=offer | ask abc | leave a | yes b | no b > XEW no_offer | leave b > XXO
an answer without an offer is refused
    seats=1 list=offer | ask abc | leave a | yes c > XOW no_offer
    seats=1 list=offer | ask ab | leave a | yes c > XO- no_offer
    seats=1 list=offer | ask abc | leave a | no b | yes b > XLO no_offer | no b > XLO no_offer
after an offer lapsed the agent may ask again, behind everybody
    seats=1 list=offer | ask abc | leave a | no b & ask b > XWO | yes b > XWO no_offer
an offer that is withdrawn passes the seat on
    seats=1 list=offer | ask abc | leave a | leave b > XXO
several offers that end together pass on in order
    seats=2 list=offer | ask abcdefg | leave ab > XXOOWWW | due hold+grace > XXLLOOW
offers are made until the last moment, exclusive
    seats=1 list=offer | ask ab | at last-tick | leave a > XO
    seats=1 list=offer | ask ab | at last | leave a > XW
an offer ends at the last moment at the latest
    seats=1 list=offer | ask ab | at last-5hour | leave a > XO | due last+grace-tick > XO
    | due last+grace > XL
an offer ends sooner when the session is brought forward
    seats=1 list=offer | ask abc | leave a | starts=during+5day > XOW | due during+3day+grace-tick > XOW
    | due during+3day+grace > XLN
    seats=1 list=offer | ask abc | leave a | starts=during+5day > XOW | yes b > XEW
an offer lapses when the session is brought so far forward that it is too late
    seats=1 list=offer | ask ab | leave a | starts=during+2day > XL
a waiting list that a change ends hears so before a newcomer has the free seat
    seats=1 list=offer | ask abc | leave a | starts=during+2day > XLN | ask d > XLNE
an offer keeps its end when the session is put off
    seats=1 list=offer | ask abc | leave a | starts=starts+7day ends=ends+7day > XOW
    | due during+4day+hour+grace-tick > XOW | due during+4day+hour+grace > XLO
an offer stands when the waiting list becomes automatic, and the rest is served at once
    seats=1 list=offer | ask abc | leave a | list=automatic seats=2 > XOE
"""

CAPACITY = """
without seats and without a waiting list everybody is refused
    seats=0 list=none | ask a > R session_full
without seats but with a waiting list everybody waits
    seats=0 | ask a > W
without a limit nobody waits
    seats=none | ask abcdefghijklmnopqrstuvwxyz > EEEEEEEEEEEEEEEEEEEEEEEEEE
    seats=0 | ask abcde > WWWWW | seats=none > EEEEE
a raised capacity seats the waiting list at once in order
    seats=1 | ask abcd | seats=3 > EEEW
as many offers as seats
    seats=1 list=offer | ask abcd | seats=3 > EOOW
a capacity that is raised after the start seats nobody
    seats=1 | ask ab | at starts | seats=5 > EW
a waiting list that is abolished is still served
    seats=1 | ask ab | list=none > EW | leave a > XE
a lowered capacity evicts nobody, and the session is full until enough leave
    seats=3 | ask abcd | seats=1 > EEEW | leave ab > XXEW | leave c > XXXE
    seats=2 | ask ab | seats=0 > EE | ask c > EEW
    seats=none | ask abcde | seats=2 > EEEEE
a lowered capacity takes no offer back and makes no other instead
    seats=2 list=offer | ask abcd | leave a > XEOW | seats=1 > XEOW | leave b > XXOW
"""

WITHDRAWAL = """
a withdrawal frees the seat
    seats=1 list=none | ask a | leave a > X | ask b > XE
the employer may withdraw an agent
    seats=1 | ask ab | dismiss a > XE
a withdrawal before the start counts however late it is read
    seats=1 | ask a | at starts+hour | leave a @starts-tick > X
a withdrawal from a seat is refused from the start on
    seats=1 | ask a | at starts | leave a > E deadline_passed
an agent without a seat may leave after the start
    seats=1 | ask ab | at starts | leave b > EX
    seats=1 list=offer | ask ab | leave a | at starts+day | leave b > XX
    approval=employer | ask a | at starts+day | leave a > X
    approval=selection | ask a | at starts+day | leave a > X
what has ended cannot be withdrawn
    seats=1 | leave a > - not_enrolled
    seats=1 | ask a | leave a | leave a > X not_enrolled
    seats=0 list=none | ask a > R session_full | leave a > R not_enrolled
    seats=1 list=offer | ask ab | leave a | no b | leave b > XL not_enrolled
    seats=1 | ask a | status=cancelled | leave a > Z not_enrolled
a withdrawal ends the enrolment, not the right to ask again
    seats=1 | ask a | leave a & ask a > E
recorded attendance outweighs a withdrawal sent before the start
    seats=1 | ask a | at starts | see a came > C | leave a @starts-tick > C deadline_passed
    seats=1 | ask a | at starts | see a missed > M | leave a @starts-tick > M deadline_passed
    seats=1 | ask a | at starts | see a excused > J | leave a @starts-tick > J deadline_passed
a MOOC can be left until its end
    format=mooc | ask ab | at ends-tick | leave a > XE | at ends | leave b > XE deadline_passed
an organiser may join two enrolments of one person until the session is over
    seats=1 | ask ab | at starts+hour | join a > XW
"""

CANCELLATION = """
a cancellation ends every live enrolment, and every later request is answered
    seats=2 list=offer | ask abcd | leave b > EXOW | approval=employer | ask e > EXOWP
    | approval=selection | ask f > EXOWPS | status=cancelled > ZXZZZZ | yes c > ZXZZZZ session_cancelled
    | agree e > ZXZZZZ session_cancelled | leave f > ZXZZZZ not_enrolled
    | rank f > ZXZZZZ session_is_cancelled
    | ask a > RXZZZZ session_cancelled | due starts+grace > RXZZZZ
a cancellation is final whatever is published after it
    status=cancelled | status=published | ask a > R session_cancelled
a cancellation leaves recorded attendance
    modules=2 | ask abc | at starts | see a came > AEE | see b missed > AEE | status=cancelled > CZZ
    seats=3 | ask abc | at starts | see a missed > MEE | see b excused > MJE | status=cancelled > MJZ
of a cancelled session only modules that had begun are recorded
    modules=2 | ask a | at starts | see a came > A | at starts+hour | status=cancelled > A
    | at ends | see a - missed > C
    modules=2 | ask a | at starts | see a came > A | status=cancelled > C | at ends
    | see a - came > C not_started
    seats=1 | ask a | status=cancelled | at ends | see a came > Z not_enrolled
"""

ASKING = """
enrolment is open from the opening to the deadline, exclusive
    seats=1 | ask a @opens-tick > R not_open_yet
    seats=1 | ask a @opens > E
    seats=1 | ask a @closes-tick > E | ask b @closes > ER deadline_passed
a close that is put off after it has passed reopens enrolment
    seats=2 | ask a | at closes | ask b > ER deadline_passed | closes=closes+2day | ask b > EE
a request received in time is in time however late it is read
    seats=1 | at starts+day | ask a @closes-tick > E
a draft is not open yet
    status=draft | ask a > R not_open_yet
a session that was moved is judged by its new dates
    seats=1 | closes=during | ask a > R deadline_passed
an agent with a live enrolment is enrolled already, and keeps the place
    seats=1 | ask a | ask a > E already_enrolled | ask a @closes > E already_enrolled
    seats=0 | ask ab | ask a > WW already_enrolled | line ab
    approval=employer | ask a | ask a > P already_enrolled
    approval=selection | ask a | ask a > S already_enrolled
after a refusal the agent may ask again
    seats=0 list=none | ask a > R session_full | seats=1 | ask a > E
an agent outside the audience is refused, even where somebody else would decide
    for=dirigeants approval=selection | ask a b/dirigeant > RS not_eligible
a narrowed audience ends no enrolment
    seats=1 | ask a | for=dirigeants > E
"""

BY_HAND = """
an organiser enrols by hand after the deadline, until the end
    seats=4 | at closes | by-hand a > E | at ends-tick | by-hand b > EE | at ends
    | by-hand c > EER deadline_passed
an organiser gives a seat above the capacity for a reason alone
    seats=1 | ask a | by-hand b > EW | by-hand-above c > EWE
an organiser gives a seat above the quota for a reason alone
    quota=1 | ask a | by-hand b > ER quota_reached | by-hand-above c > ERE
an organiser gives no seat before the employer agrees
    approval=employer | by-hand-above a > P
a reason opens no session that is over or for others
    seats=1 | at ends | by-hand-above a > R deadline_passed
    seats=1 for=dirigeants | by-hand-above a > R not_eligible
"""

GROUPS = """
a group is answered in the order given, each for itself
    seats=2 | group badc > EEWW | line dc
nobody of a group suffers from another
    for=agents | ask a | group a b/dirigeant c > ERE already_enrolled not_eligible
the quota and the reserved seats are counted as a group goes
    seats=3 quota=1 reserved=corse:1@starts | group ab c/nantes d/brest > EREW quota_reached
each of a group may withdraw alone
    seats=2 | group ab | leave a > XE
an agent who stands twice in a group counts once
    seats=1 | group aa > E
    seats=1 | all aa > E
a group waits together only if it asks for all or nothing
    seats=1 | group-wait ab > EW
the employer approves by asking for a group
    approval=employer | group ab > EE | all cd > EEEE
a group applies to a selection each for itself
    approval=selection | group ab > SS
a group gets its seats when there are enough
    seats=3 | all abc > EEE
a group gets no seat and no place when there are too few seats, and loses none
    seats=2 | all abc > RRR group_does_not_fit | ask de > RRREE
a group does not fit beside a waiting list
    seats=1 | ask ab | all cd > EWRR group_does_not_fit
a group overtakes nobody who waits for seats that only offers can give
    seats=2 list=offer | ask abc | leave a > XEO | all d > XEOR group_does_not_fit | yes c > XEER
a group is held to the quota of its authority
    quota=2 | all ab c/nantes d > RRRR group_does_not_fit | all abc > EEER
a group may not take the seats that are reserved for another delegation
    seats=4 reserved=corse:2@starts | all abc > RRR group_does_not_fit | all ab d/corse e/corse > EEREE
a group fills the reserved seats of its delegation
    seats=2 reserved=bretagne:2@starts | all a/corse > R group_does_not_fit | all bc > REE
an agent who could not be enrolled alone gets that reason, and nobody of the group a seat
    for=agents | ask c | all a b/dirigeant c > RRE group_does_not_fit not_eligible already_enrolled
a group at the wrong time is refused for the time
    status=cancelled | all ab > RR session_cancelled
    status=draft | all ab > RR not_open_yet
    seats=1 | all ab @opens-tick > RR not_open_yet
    seats=1 | all ab @closes > RR deadline_passed
a group that is sent again finds everybody enrolled
    seats=2 | all ab > EE | all ab > EE already_enrolled
all or nothing promises nothing where the organiser selects
    approval=selection | all ab > RR group_does_not_fit
a group that did not fit may ask again
    seats=1 | all ab > RR group_does_not_fit | seats=2 | all ab > EE
a group sees what a request before it in the batch took
    seats=2 | ask a & all bc > ERR group_does_not_fit
a group fits when all who have no seat yet get one
    seats=3 | ask a | all abc > EEE already_enrolled
a group does not fit while one of it only waits
    seats=2 reserved=corse:1@closes | ask ab | all b c/corse > EWR already_enrolled group_does_not_fit
"""

WAITING_TOGETHER = """
a group for which there are seats has them at once
    seats=3 | wait abc > EEE
a group waits as one place behind others
    seats=3 later | ask abc | ask de | wait fg | wait hi > EEEWWWWWW | line defghi
where a group cannot wait it is refused
    seats=2 list=offer | ask a | wait bc > ERR group_does_not_fit
    seats=2 list=none | ask a | wait bc > ERR group_does_not_fit
    seats=2 approval=selection | wait ab > RR group_does_not_fit
    seats=2 approval=employer_then_selection | wait ab > RR group_does_not_fit
    seats=2 | ask a | wait bc @closes > ERR deadline_passed
    seats=2 | ask a | wait bc @opens-tick > ERR not_open_yet
    status=cancelled | wait ab > RR session_cancelled
the employer approves by asking for a group that waits
    seats=2 approval=employer | ask-approved a | wait bc > EWW
nobody waits with an agent who could not be enrolled alone
    seats=2 for=agents | ask a | wait b c/dirigeant > ERR group_does_not_fit not_eligible
a group that could not sit in the empty session is refused
    seats=3 | ask abc | wait defg > EEERRRR group_does_not_fit | wait def > EEEWWWR
a group for which the quota is too small is refused, a group whose colleagues have it waits
    quota=2 | ask a | wait bcd/nantes > ERRR group_does_not_fit | wait ef > ERRRWW | leave a > XRRREE
seats reserved for others count if they are released in time
    seats=3 reserved=corse:2@closes | wait ab > WW
    seats=3 reserved=corse:2@starts | wait ab > RR group_does_not_fit
a group waits for the release of reserved seats
    seats=2 reserved=corse:2@closes | wait ab > WW | due closes > EE
a group is seated when there is a seat for each
    seats=3 | ask abc | wait de > EEEWW | leave a > XEEWW | leave b > XXEEE
a raised capacity seats a group, then the agents behind it
    seats=3 | ask abc | wait de | ask fg | seats=6 > EEEEEEW
members of two delegations take the seats reserved for each
    seats=2 reserved=corse:1@starts | ask a | wait b c/corse > EWW | leave a > XEE
a group keeps seats from newcomers and from the places behind
    seats=3 later | ask abc | wait de | ask f | leave a > XEEWWW | ask g > XEEWWWW
    seats=3 later | ask a | wait bcd > EWWW | ask e > EWWWW
    seats=3 later | ask a | wait bcd | wait ef > EWWWWW
a group keeps only seats that its members may take
    seats=3 reserved=corse:1@closes | ask a | wait bc > EWW | ask d/nantes e/corse > EWWWE
    seats=6 reserved=corse:2@closes,bretagne:2@closes | ask ab/occitanie
    | wait cd/corse efg/occitanie > EEWWWWW | ask h/corse i > EEWWWWWWE
a group that seats cannot help keeps none
    seats=2 quota=2 | ask a | wait bc > EWW | ask d/nantes > EWWE
    seats=3 later | ask abc | wait def | ask g | seats=2 | leave ab > XXEWWWE
a group keeps seats for seven days from the first, then it is passed
    seats=3 later | ask abc | wait de | ask fgh | due during+2day | leave a > XEEWWWWW
    | due during+9day+grace-tick > XEEWWWWW | due during+9day+grace > XEEWWEWW
a group is not passed before all that was sent by then is read
    seats=3 later | ask abc | wait de | ask f | due during+2day | leave a | at during+9day+tick
    | leave b @during+9day-tick > XXEEEW
a passed group is passed by each freed seat until enough are free at once
    seats=3 later | ask abc | wait de | ask fgh | leave a | due during+10day > XEEWWEWW | leave b > XXEWWEEW
    | seats=5 > XXEEEEEW
a request passes a passed group
    seats=3 later | ask abc | wait de | leave a | due kept+grace | ask f > XEEWWE
the next group keeps seats for seven days of its own
    seats=3 later | ask abc | wait def | wait gh | leave a | due during+7day+grace > XEEWWWWW
    | due during+14day > XEEWWWWW | ask i > XEEWWWWWW | leave b > XXEWWWEEW
members who are live already do not count
    seats=3 later | ask abcd | wait adef > EEEWWW already_enrolled | line def
the only new member of a group waits as anybody does
    seats=3 later | ask abc | wait ad > EEEW already_enrolled | leave a > XEEE
a member who waits alone does not keep the others from their seats
    seats=2 reserved=corse:2@closes | ask a | wait a bc/corse > WEE already_enrolled
a group that is sent again while it waits changes nothing
    seats=3 | ask abc | wait de | wait de > EEEWW already_enrolled
each may leave, and the others may fit then
    seats=3 later | ask abc | wait def | leave ab > XXEWWW | leave e > XXEEXE
when the last of a group leaves, the seats that it kept go on
    seats=3 later | ask abc | wait de | ask f | leave a > XEEWWW | leave de > XEEXXE
a priority is the whole group's
    seats=3 later | ask abcd | wait ef | prefer f 1 | line efd | leave ab > XXEWEE
a line that is changed to offers still seats a group as one
    seats=3 later | ask abc | wait de | ask f | list=offer | leave abc > XXXEEO
each agent of a group is notified of the end
    seats=2 | ask ab | wait cd | status=cancelled > ZZZZ
    seats=2 | ask ab | wait cd | due starts+grace > EENN
a request received before a group and read later is before it
    seats=3 later | ask abc | wait de | leave a | ask fg @opens > XEEWWEW
a group received earlier and read later is before an agent received after it
    seats=3 later | ask abcd | wait ef @opens | line efd | leave ab > XXEWEE
"""

RESERVED_SEATS = """
reserved seats are only for the agents of the delegation
    seats=2 reserved=bretagne:2@closes | ask a/corse b > WE
unreserved seats are for all
    seats=3 reserved=bretagne:1@closes | ask a/corse b c/corse d/corse > EEEW
a delegation fills its reserved seats first and then competes for the others
    seats=3 reserved=bretagne:1@closes | ask abcd > EEEW
at the release the rest goes to the waiting list in order
    seats=3 reserved=bretagne:3@during+5day | ask abc/corse d > WWWE | due during+5day-tick > WWWE
    | due during+5day > EEWE
at the release seats are offered where the line is served by offers
    seats=1 list=offer reserved=bretagne:1@during+5day | ask a/corse > W | due during+5day > O
a request after the release comes behind the waiting list
    seats=1 reserved=bretagne:1@during+5day | ask a/corse | at during+5day | ask b > EW
a reserved seat that becomes free goes to the first of the delegation
    seats=2 reserved=bretagne:1@closes | ask a bc/corse d > EEWW | leave a > XEWE
an unreserved seat that becomes free goes to the first in line
    seats=2 reserved=bretagne:1@closes | ask a bc/corse d > EEWW | leave b > EXEW
an offered seat counts as one that the delegation has
    seats=2 list=offer reserved=bretagne:1@closes | ask a b/corse c d/corse > EEWW | leave a > XEOW
    | leave b > XXOO
each delegation has its own reserved seats
    seats=4 reserved=bretagne:2@closes,corse:1@closes | ask ab/occitanie cd/corse efg > EWEWEEW
each reservation is released on its own date
    seats=3 reserved=bretagne:1@during+5day,bretagne:2@during+9day | ask abc/corse > WWW
    | due during+5day > EWW | due during+9day > EEE
of more reserved seats than there are, the first to ask have them, and none stays empty
    seats=3 reserved=bretagne:3@closes,corse:3@closes | ask a/occitanie bcd e/corse > WEEEW
    seats=3 reserved=bretagne:3@closes,corse:3@closes | ask a/occitanie bc d/corse e/corse > WEEEW
in a lowered capacity a delegation may still take a seat that is reserved for it
    seats=10 reserved=bretagne:2@closes,corse:2@closes | ask abc/occitanie | seats=5
    | ask d/occitanie e fg/corse > EEEWEEW
reserved seats beyond the capacity are no seats
    seats=1 reserved=bretagne:5@closes | ask ab > EW
without a limit reservations keep nobody out
    seats=none reserved=bretagne:5@closes | ask a/corse > E
seats that are reserved later evict nobody
    seats=2 | ask ab/corse | reserved=bretagne:2@closes > EE | ask c/corse d | leave a > XEWE
a reservation that is dropped frees its seats at once
    seats=1 reserved=bretagne:1@closes | ask a/corse > W | reserved=none > E
a release after the start gives nothing away
    seats=1 reserved=bretagne:1@starts+day | ask a/corse | due starts+day > N
agents of one delegation are equal, whatever their authority
    seats=2 reserved=bretagne:2@closes | ask a/brest b > EE
"""

QUOTA = """
an authority has no more seats than its quota
    quota=2 | ask abc > EER quota_reached
the quota of one authority is not that of another
    quota=1 | ask a b/nantes > EE
a quota holds in an unlimited session too
    seats=none quota=1 | ask ab > ER quota_reached
after a withdrawal the authority may have another seat
    quota=1 | ask a | leave a & ask b > XE
an offer counts for the quota
    seats=1 list=offer quota=1 | ask a/nantes b | leave a > XO | ask c > XOR quota_reached | yes b > XER
an authority may wait for more than its quota
    seats=1 quota=1 | ask a/nantes bcd > EWWW
a freed seat passes over an agent whose authority has its quota, who keeps the place
    seats=2 quota=2 | ask a bc/nantes d e/brest > EEWWW | quota=1 | leave a > XEWEW | leave b > XXEEW
a withdrawal that frees the quota gives the seat that was free already
    seats=1 | ask ab | quota=1 seats=2 > EW | leave a > XE
a lowered quota evicts nobody and a raised quota serves the waiting list
    seats=3 quota=3 | ask ab c/nantes d > EEEW | quota=1 seats=4 > EEEW | quota=3 > EEEE
an approval after the quota is reached comes too late
    approval=employer quota=1 | ask a | ask-approved b | agree a > RE quota_reached
"""

APPROVAL = """
without the employer's approval the enrolment waits for it and holds no seat
    approval=employer seats=1 | ask a > P | ask-approved b > PE
where nobody need approve, nobody is asked
    approval=none | ask a > E
an agent may await the employer for a full session, and is refused then
    approval=employer seats=0 list=none | ask a > P | agree a > R session_full
granted, the agent has the seat
    approval=employer | ask a | agree a > E
granted into a waiting list, the place is by the original time of receipt
    approval=employer seats=1 | ask-approved ab | ask c | ask-approved d | agree c > EWWW | line bcd
    | seats=3 > EEEW
approvals in another order keep the order of receipt
    approval=employer seats=1 | ask-approved a | ask bcd | agree dcb > EWWW | line bcd
denied, the agent is refused and may ask again
    approval=employer | ask a | deny a > R approval_denied | ask a > P
still pending when enrolment closes, the enrolment is refused after a grace
    approval=employer | ask a | due closes+grace-tick > P | due closes+grace > R approval_denied
an approval counts if it was received before the close
    approval=employer | ask a | at closes+grace-tick | agree a @closes-tick > E
    approval=employer | ask a | at closes | agree a > P approval_denied
    approval=employer | ask a | due closes+grace > R approval_denied | agree a @closes > R approval_denied
a denial is never too late
    approval=employer | ask a | at closes | deny a > R approval_denied
an approval for nobody, or after the end, changes nothing
    approval=employer | agree a > - not_enrolled | deny a > - not_enrolled
    approval=employer | ask a | leave a | agree a > X not_enrolled | deny a > X not_enrolled
    approval=employer | ask a | status=cancelled | agree a > Z session_cancelled
a second decision of the employer changes nothing
    approval=employer | ask a | agree a | agree a > E already_enrolled | deny a > E already_enrolled
a deadline that is put off keeps pending enrolments
    approval=employer | ask a | closes=closes+2day | due closes+grace > P | agree a > E
an approval that is needed no more gives the pending what there is, in order of receipt
    approval=employer seats=2 | ask ab | ask-approved c | approval=none > EWE
"""

SELECTION = """
everybody awaits the selection, approved or not, and however many seats there are
    approval=selection seats=0 | ask a | ask-approved b > SS
the ranked fill the seats in their order, then the waiting list
    approval=selection seats=2 | ask abcd | rank cadb > EWEW | line db
the rank is the place in line
    approval=selection seats=1 | ask abc | rank cba > WWE | leave c > WEX
candidates who are not selected are refused
    approval=selection seats=2 | ask abc | rank a not bc > ERR not_selected
all may be turned down
    approval=selection | ask ab | rank not ab > RR not_selected
without a waiting list the ranked beyond the seats are refused
    approval=selection seats=2 list=none | ask abc | rank abc > EER session_full
a ranked candidate whose authority has its quota makes room for the next
    approval=selection seats=2 quota=1 | ask ab c/nantes | rank abc > ERE quota_reached
an agent who withdrew is no candidate any more
    approval=selection | ask ab | leave b | rank ab > SX unknown | rank a > EX
a candidate who is decided upon is none any more
    approval=selection | ask ab | rank ab > EE | rank ba > EE unknown
an agent who applies after a ranking waits for the next and comes behind the first
    approval=selection seats=1 | ask ab | rank ab | ask c > EWS | rank c > EWW | seats=2 > EEW
a ranking may come after enrolment closed but not after the session
    approval=selection | ask a | due closes+day > S selection_due | rank a > E
    approval=selection | ask a | at ends | rank a > S session_is_over
a ranking lets no offer lapse whose answer may still be unread
    approval=selection seats=1 list=offer | ask abc | rank abc | leave a > XOW | ask d | at hold+day
    | rank d > XOWW
a seat that time has freed goes to the line before a ranking
    seats=1 reserved=corse:1@during+5day | ask a > W | approval=selection | ask b > WS | at during+5day
    | rank b > EW
a candidate who was never ranked is not selected once the session is over
    approval=selection | ask a | due ends > S selection_due | due ends+grace > R not_selected
a selection that is dropped gives the candidates what there is, in order of receipt
    approval=selection seats=1 | ask ab | approval=none > EW
an employer's approval does not select
    approval=selection | ask a | agree a > S already_enrolled
the waiting list of the ranked is served by offers too
    approval=selection seats=1 list=offer | ask abc | rank bca > WEW | leave b > WXO
an agent enrolled before the selection keeps the seat
    seats=1 | ask a | approval=selection | ask b > ES
the employer's word comes before the selection
    approval=employer_then_selection | ask a > P | ask-approved b > PS | agree a > SS
an agent who is denied is no candidate
    approval=employer_then_selection | ask a | deny a > R approval_denied | rank a > R unknown
a ranking is of candidates whose employer agreed alone
    approval=employer_then_selection seats=1 | ask ab | agree a > SP | rank ab > SP unknown | rank a > EP
    | agree b > ES | rank b > EW
without the employer's word at the close the enrolment is refused, the candidates stay
    approval=employer_then_selection | ask ab | agree a | due closes+grace-tick > SP
    | due closes+grace > SR approval_denied selection_due
an approval in the first of two steps counts if it was received before the close
    approval=employer_then_selection | ask a | at closes+grace-tick | agree a @closes-tick > S
    approval=employer_then_selection | ask a | at closes | agree a > P approval_denied
a second word of the employer changes nothing
    approval=employer_then_selection | ask a | agree a | agree a > S already_enrolled
    | deny a > S already_enrolled
a group awaits the selection alone
    approval=employer_then_selection | group ab > SS
an agent may withdraw from either step and apply again
    approval=employer_then_selection | ask ab | agree a > SP | leave ab & ask ab > PP
steps that are dropped give all pending agents what there is
    approval=employer_then_selection seats=1 | ask ab | agree b > PS | approval=none > EW
"""

PRIORITY = """
a higher priority goes first
    seats=1 | ask abc | prefer c 1 | line cb | leave a > XWE
among equal priorities the order of receipt decides
    seats=1 | ask abcd | prefer d 2 | prefer c 2 | line cdb | seats=2 > EWEW
a priority that is taken back gives the old place back
    seats=1 | ask abc | prefer c 5 | prefer c 0 | line bc
before all others needs no number
    seats=1 | ask abcd | prefer c 3 | prefer d first | line dcb | prefer d first | line dcb
a seat that time has freed goes by the new order
    seats=1 reserved=corse:1@during+hour | ask ab > WW | at during+hour | prefer b 1 > WE
only an agent who waits has a place to change
    seats=1 | ask ab | prefer a 1 > EW not_in_line | prefer c 1 > EW- not_in_line
nobody is put behind agents who have not come yet
    seats=1 | ask ab | prefer b -1 > EW priority_below_0
"""

END_OF_LINE = """
a line ends when no seat can be given any more, after a grace
    seats=1 | ask abc | due starts+grace-tick > EWW | due starts+grace > ENN | due starts+day > ENN
    seats=1 running | ask abc | due starts+3day+grace-tick > EWW | due starts+3day+grace > ENN
    seats=1 list=offer | ask abc | due last+grace-tick > EWW | due last+grace > ENN
    seats=1 list=offer running | ask abc | due last+grace-tick > EWW | due last+grace > ENN
after the end nobody who waited is seated
    seats=1 list=offer | ask abc | due last+grace | leave a > XNN | seats=20 > XNN
    | starts=starts+30day ends=ends+30day > XNN
a session that is put off in time keeps its line
    seats=1 | ask abc | starts=starts+7day ends=ends+7day | due starts+grace > EWW | leave a > XEW
where enrolment is still open nobody begins to wait for a seat that is not given any more
    seats=1 list=offer running | ask a | at last | ask b > ER session_full | group cd > ERRR session_full
    | leave a > XRRR | ask b > XERR
a request received before the end waits though it is read after, and is notified like the others
    seats=1 list=offer running | ask a | at last+tick | ask b @last-tick > EW | due last+grace > EN
a seat that is freed after the end goes to nobody before the agents who waited
    seats=1 | ask ab | at starts | seats=2 > EW | ask c @during > EWW
a seat that is freed after the end is for a request in time where nobody waits
    seats=1 | ask a | at starts | seats=2 | ask b @during > EE
an approval after the end of the line gives no place in it
    seats=1 list=offer approval=employer running | ask-approved a | ask b | at last
    | agree b > ER session_full
an agent who obtained no seat has nothing to withdraw and may ask again
    seats=1 list=offer running | ask ab | due last+grace > EN | leave b > EN not_enrolled | leave a
    | ask b > XE
"""

PRIVATE_SESSIONS = """
the agents named take the seats in the order of the list
    private seats=2 | nominate bac > EER session_full
a trainee needs no approval
    private approval=employer | nominate a > E
the same list again, in any order, changes nothing
    private | nominate abc > EEE | nominate abc > EEE | nominate cab > EEE
a longer list seats the new agents
    private | nominate ab > EE | nominate abc > EEE
an agent who is not in the list any more leaves
    private | nominate ab > EE | nominate a > EX
the list of one issuer's agents leaves those of another
    private | nominate a > E | nominate b/sirh > EE
one trainee can be replaced by another in a full session
    private seats=2 | nominate ab > EE | nominate ac > EXE
an agent who withdrew and is named again sits again
    private | nominate a & leave a & nominate a > E
a seat that a shorter list leaves goes to the waiting list
    private seats=2 list=automatic | nominate abc > EEW | nominate ac > EXE
a seat that an empty place leaves goes to a waiting agent of another authority
    private for=rennes+nantes seats=1 list=automatic | nominate ab > EW | nominate-nantes c/nantes > EWW
    | nominate b > XEW
after the close one trainee can still be replaced by another
    private | nominate ab | at closes | nominate ac > EXE
after the close the list may not grow
    private | nominate a | at closes | nominate ab > ER deadline_passed | nominate bc > XER deadline_passed
after the close the list may shrink
    private | nominate ab | at closes | nominate a > EX
a replacement who is not eligible uses up no place
    private | nominate a | at closes | nominate b/nantes c > XRE not_eligible
a replacement for whom there is no seat uses up no place
    private seats=2 | nominate ab | at closes | seats=1 | nominate ac > EXR session_full | seats=3
    | nominate ac > EXE
after the close an agent who withdrew is replaced by a later list, once
    private | nominate ab | at closes | leave b > EX | nominate ac > EXE | nominate acd > EXER deadline_passed
an agent who withdrew before the close is replaced by nobody after
    private | nominate ab | leave b > EX | at closes | nominate ac > EXR deadline_passed
from the start on nobody is replaced, not even an agent who only waited
    private | nominate a | at starts | nominate b > ER deadline_passed
    private seats=1 list=automatic | nominate ab > EW | at starts | nominate ac > EXR deadline_passed
a list follows the state of the session
    private | nominate a @opens-tick > R not_open_yet
    private | nominate a | status=cancelled | nominate a > R session_cancelled
an agent who was seen there is not ended by a list
    private | nominate ab | at starts | see a came > CE | nominate b @during > CE
an older list that is read later changes nothing
    private | nominate a | at during+hour | nominate ab > EE | nominate a @during > EE
only a bespoke session of an authority takes its list
    private | nominate a | nominate-nantes b > ER not_eligible
    seats=4 | ask a | nominate b > ER not_eligible
    private for=all | nominate a > R not_eligible
    private format=local_event | nominate a > R not_eligible
each authority of a shared session has a list of its own
    private for=rennes+nantes | nominate a > E | nominate-nantes b/nantes > EE
an authority names only its own agents
    private for=rennes+nantes | nominate a b/nantes > ER not_eligible
an agent who stands twice in a list is answered once
    private | nominate aa > E | nominate-nantes bb > ER not_eligible
an agent of the authority who asks alone is not nominated until the officer names them
    private approval=employer | ask a > R not_nominated | ask-approved a > R not_nominated | nominate a > E
    | ask a > E already_enrolled | group b > EE
an agent of another authority is not eligible
    private | ask a/nantes > R not_eligible
"""

ATTENDANCE = """
a session without modules is recorded as one
    seats=3 | ask abc | at ends | see a came > CEE | see b missed > CME | see c excused > CMJ
a certificate is due once each module is known, to an agent who attended at least one
    modules=3 | ask a | at ends | see a missed > E | see a - excused > E | see a - - came > C
    modules=3 | ask a | at ends | see a - came > A | see a missed > A | see a - - missed > C
    modules=3 | ask a | at ends | see a came came came > C
an agent who missed all modules is absent, or excused if excused from all
    modules=3 | ask a | at ends | see a missed missed > E | see a - - missed > M
    modules=3 | ask a | at ends | see a excused excused missed > M
    modules=3 | ask a | at ends | see a excused excused excused > J
attendance can be corrected to any other
    seats=1 | ask a | at ends | see a came > C | see a missed > M | see a excused > J | see a came > C
    | see a excused > J | see a missed > M | see a came > C
a module that is taken out of the session counts no more
    modules=3 | ask a | at ends | see a - - came > A | modules=2 | see a missed > E | see a - missed > M
    modules=2 | ask ab | at ends | see ab came > AA | modules=1 | see a missed > MA | see b excused > MJ
a module that is added is waited for
    modules=1 | ask a | at ends | see a came > C | modules=3 | see a - missed > A
    modules=1 | ask a | at ends | see a came > C | modules=3 | see a missed > E
    modules=1 | ask ab | at ends | see ab missed > MM | modules=3 | see a came > AM | see b excused > AE
    modules=1 | ask ab | at ends | see ab excused > JJ | modules=3 | see a came > AJ | see b missed > AE
a certificate stays while another module is corrected
    modules=2 | ask a | at ends | see a came missed > C | see a - came > C
a module that the session does not have is not recorded
    modules=2 | ask a | at ends | see a - - came > E no_such_module
    seats=1 | ask a | at ends | see a - came > E no_such_module
nobody is seen before the module began, and one fault records nothing
    modules=2 | ask a | at starts+hour-tick | see a came came > E not_started | at starts+hour
    | see a came came > C
attendance is of agents with a seat
    seats=0 | ask a | at ends | see a came > W not_enrolled | see b came > W- not_enrolled
    approval=employer | ask a | at ends | see a came > P not_enrolled
    approval=selection | ask a | at ends | see a came > S not_enrolled
"""

CLOSE = """
under the minimum at the close the organiser gets one notice, and nothing else happens
    minimum=3 | ask ab | due closes+grace-tick > EE | due closes+grace > EE minimum_missed
    | due closes+2day > EE
the minimum itself is enough
    minimum=3 | ask abc | due closes+grace > EEE
a request that was received by the close counts
    minimum=3 | ask ab | due closes+grace-tick | ask c @closes-tick | due closes+grace > EEE
the minimum is judged at the close, and again when the first seat that it needs is lost after
    minimum=3 | ask abcd | due closes+grace > EEEE | leave d | due closes+day > EEEX
    | leave c | due closes+day+grace > EEXX minimum_missed | leave b | due closes+2day > EXXX
    minimum=2 | ask ab | due closes+grace > EE | at starts-tick | leave b | due starts > EX minimum_missed
    minimum=2 seats=2 | ask abc | due closes+grace > EEW | leave a | due closes+day > XEE
a deadline that is put off is judged anew
    minimum=3 | ask a | due closes+grace > E minimum_missed | closes=closes+2day | due closes+2day+grace-tick
    | due closes+2day+grace > E minimum_missed
a deadline that is brought forward after its notice gives no other notice, nor does its return
    minimum=3 | ask a | due closes+grace > E minimum_missed | closes=closes-2day | due closes+day > E
    | closes=closes | due closes+2day > E
an offered seat counts for the minimum
    minimum=3 seats=3 list=offer | ask abcd | at closes | leave a @closes-tick > XEEO
    | due closes+grace > XEEO
candidates count for the minimum
    minimum=3 approval=selection | ask abc | due closes+grace > SSS selection_due
    minimum=3 approval=selection | ask ab | due closes+grace > SS minimum_missed selection_due
    minimum=3 approval=selection | ask abc | rank ab not c > EER not_selected
    | due closes+grace > EER minimum_missed
an agent who awaits the employer at the close does not count
    minimum=3 approval=employer | ask-approved ab | ask c
    | due closes+grace > EER approval_denied minimum_missed
the organiser gets one notice of the candidates of a second step
    approval=employer_then_selection | ask-approved ab | due closes+grace-tick > SS
    | due closes+grace > SS selection_due | due closes+day > SS
an agent who awaits the employer at the close is no candidate
    approval=employer_then_selection | ask a | due closes+grace > R approval_denied
where nobody is to be ranked or counted nothing is due
    approval=selection | ask ab | rank ab | due closes+grace > EE
    approval=selection | ask ab | status=cancelled | due closes+grace > ZZ
    minimum=3 | status=cancelled | due closes+grace
    seats=3 | due closes+grace
"""


def cases(*tables: str) -> Iterator[tuple[str, str]]:
    """Yield the scenarios, each with its rule."""
    for rule, scenarios in re.findall(r"^(\S.*)\n((?: .*\n)+)", "".join(tables), flags=re.MULTILINE):
        for scenario in re.split(r"^    (?!\|)", scenarios, flags=re.MULTILINE)[1:]:
            yield rule, scenario


SCENARIOS = [
    *cases(WAITING_LIST, OFFERS, CAPACITY, WITHDRAWAL, CANCELLATION, ASKING, BY_HAND, GROUPS),
    *cases(WAITING_TOGETHER, RESERVED_SEATS, QUOTA, APPROVAL, SELECTION, PRIORITY, END_OF_LINE),
    *cases(PRIVATE_SESSIONS, ATTENDANCE, CLOSE),
]


@pytest.mark.parametrize(("_rule", "scenario"), SCENARIOS, ids=[rule for rule, _ in SCENARIOS])
def test_the_rules_of_seats(_rule: str, scenario: str) -> None:
    play(scenario)
