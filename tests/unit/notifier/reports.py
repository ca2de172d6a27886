"""Delivery reports as mail servers write them."""


def a_report(
    to: str,
    *,
    status: str = "5.1.1",
    action: str = "failed",
    message_id: str = "<d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90@cnfpt.example>",
    number: int = 1,
) -> bytes:
    """Postfix's way (RFC 3464), from the relay of a town."""
    return (
        (
            f"""Return-Path: <>
Delivered-To: {to}
Date: Mon, 10 Mar 2025 14:06:0{number} +0100 (CET)
From: MAILER-DAEMON@mx.ville.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B{number}"
Message-Id: <2025{number}@mx.ville.example>

--B{number}
Content-Description: Notification
Content-Type: text/plain; charset=utf-8

This is the mail system. <zoe.durand@ville-exemple.fr>: user unknown

--B{number}
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.ville.example
X-Postfix-Queue-ID: 4XyZ
Arrival-Date: Mon, 10 Mar 2025 14:06:00 +0100 (CET)

Final-Recipient: rfc822; zoe.durand@ville-exemple.fr
Original-Recipient: rfc822;zoe.durand@ville-exemple.fr
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} user unknown

--B{number}
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

From: CNFPT <formations@cnfpt.example>
Message-ID: {message_id}
Subject: Votre inscription

--B{number}--
"""
        )
        .replace("\n", "\r\n")
        .encode()
    )


OUT_OF_OFFICE = b"""From: zoe.durand@ville-exemple.fr\r
To: retours@cnfpt.example\r
Subject: Absence\r
Auto-Submitted: auto-replied\r
\r
Je suis absente. Message-ID: <d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90@cnfpt.example>\r
"""
