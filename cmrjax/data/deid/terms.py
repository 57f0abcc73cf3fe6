"""What sites write in the place of a person: words of diseases, departments, scanners."""

import re

from cmrjax.data.deid.fold import fold

# None of them but the small ones below is a surname or a given name that we know of: Vida, Sola,
# Prisma, Canon, Philips, Siemens and Ward do not stand here; nor do two letters (Li, Mi, Ge).
_TERMS = frozenset(
    """hcm hocm dcm rcm arvc arvd lvnc icm nicm chd tof tga asd vsd pda chf hfref hfpef stemi nstemi
    amyloid amyloidosis amyloidose sarcoid sarcoidosis sarkoidose myocarditis myokarditis
    pericarditis perikarditis cardiomyopathy cardiomyopathies kardiomyopathie ischaemia ischemia
    ischaemic ischemic infarct infarction infarkt failure fibrosis hypertension thrombus
    lge cmr mri mrt irm nmr cine perfusion viability contrast
    control controls kontrolle healthy normal volunteer volunteers proband probandin probanden
    subject subjects participant baseline followup phantom cohort
    heart hearts herz cardiac kardio cardio cardiology kardiologie cardiologie cardiologia
    radiology radiologie radiologia imaging bildgebung clinic clinics klinik ambulanz outpatient
    inpatient department dept abteilung unit service scanner magnet research study studies
    trial and und for of the
    avanto aera skyra espree magnetom verio achieva ingenia intera signa
    healthineers medical systems""".split()  # noqa: SIM905
)
# Of these alone a text is none of these things: words too small to say so, and what is a name, too.
_SMALL = frozenset("and und for of the normal medical systems heart hearts herz".split())  # noqa: SIM905
_SPLIT = re.compile(r"[\W\d_]+")


def is_nobody(text: str) -> bool:
    """Whether a header's text is of clinical words and numbers alone: no person is looked for then.

    One word that is none of them makes it somebody.

    Example:
        >>> is_nobody('HCM^012'), is_nobody('HEART FAILURE CLINIC'), is_nobody('Heart^Rose')
        (True, True, False)
    """
    words = {word for word in _SPLIT.split(fold(text).text) if word}
    return bool(words - _SMALL) and words <= _TERMS
