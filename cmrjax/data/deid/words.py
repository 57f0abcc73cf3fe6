"""Words that decide whether something is a name: tables for `known` and `residual`."""

# Diseases, signs, scores, operations and devices that carry a name. Alone they are never taken for
# a patient's; a title before them still is a sign of a person.
EPONYMS = frozenset(
    """fallot ebstein chagas fabry takotsubo tako marfan noonan turner loeffler loffler becker
    duchenne kawasaki takayasu behcet barlow uhl brugada danon pompe friedreich anderson
    holt oram williams eisenmenger shone scimitar kartagener down alagille barth wolff
    parkinson white lown ganong levine jervell romano ward lenegre lev mahaim bachmann koch
    purkinje his thebesius eustachian chiari valsalva vieussens lambl libman sacks osler
    janeway roth duke dressler kussmaul beck mueller-hinton naxos carvajal emery dreifuss
    hurler hunter gaucher hashimoto graves addison cushing conn hodgkin crohn raynaud
    sjogren churg strauss wegener erdheim chester lyme whipple simpson teichholz agatston
    mosteller dubois haycock bazett fridericia framingham fontan glenn mustard senning
    rastelli jatene ross blalock taussig thomas waterston potts norwood damus kaye stansel
    nikaidoh konno bentall david yacoub batista dor alfieri cox maze amplatzer stanford
    debakey crawford killip starling frank laplace bernoulli doppler swan ganz seldinger
    austin flint graham steell carey coombs lutembacher laubry pezzi bland garland kommerell
    abbott morrow mitraclip lake louise look locker shmolli gorlin hakki wilkins carpentier
    schiller bruce astrand borg levey bjork shiley edwards sapien medtronic hancock starr""".split()  # noqa: SIM905
)
# Surnames and given names that reports also use as words.
COMMON_WORDS = frozenset(
    """wall walls long short small large young old white black brown gray grey green blue stern may
    march april june august hall rose bell hart heart marrow bone king law good rich swift
    sharp flood rivers banks field fields park parks page price cook carter mason stone
    frost snow winter summers summer major minor moody sweet strong power powers best early
    low high day week weeks noon hope grace joy faith dawn rod bill mark marks art grant
    will rob pat drew chase ray dean guy miles max normal mild severe moderate case cases
    cross head neck back side foot foote hand hands arm leg chest lung kidney liver blood
    vein body muscle fat water air fluid wave waves bloom branch root stem leaf seed bush
    wood woods forest glass silver gold steel iron copper pine berry cherry apple lamb wolf
    fox bird crane finch drake swan hawk peacock bass pike fish love noble wise stout bright
    light dark free loss lost block blocks bridge bridges brook camp castle church close
    cliff coat cole come dale dell dent ease east west north south england france ford gate
    gates gore hill hills holder holm holmes house ivy jet joint keep kern key land lane
    last ledger less little lord lowe man mann marsh mead mean means meek mills moon moore
    more moss neal new newman odd paine pain penny piece pole pool poole pope post potter
    pound prior ready reading reed reader rest rice ring rise rust sage salt sand sands
    savage self shade shaw shell shore show signs singer skin skinner slice sole son song
    sound sparks spear spring stack stage start steady still street sutton tab tall teller
    tender test thick thin thorn tide till tip tower town train true tube turn twist tyler
    valley vessel volume walk walker ware way weaver webb wells wheel wide wild wing wish
    word worth wright yard york size image plane phase axis scan score signal study stable
    rate pace sinus report reports trace function apex base right left atrium valve septum
    cavity aorta stent graft septal apical basal lateral anterior imaging medical hospital
    clinic centre center cardiac cardiology radiology patient doctor""".split()  # noqa: SIM905
)
# Short capitalised words of reports, beside which a name of two letters cannot be told apart.
SHORT_WORDS = frozenset(
    """
    ao la ra lv rv pa ar mr tr pr as ms ps ef ed es an at do he in is it no of on or so to up us
    we am be by go if me my ok ca mi pe ct us ph ti te sa mo""".split()  # noqa: SIM905
)
# What stands before "MR" and "MS" in capitals when a valve is spoken of, and what stands after them
# when a valve or a scan is: no surname among them, since all others are taken for one.
BEFORE_MR = frozenset(
    """no any mild mildly moderate moderately severe trivial trace mild-moderate minimal significant
    insignificant torrential massive free functional ischaemic ischemic primary secondary central
    eccentric residual recurrent chronic acute degenerative organic holosystolic
    important relevant known associated mixed rheumatic congenital dynamic cardiac cardio contrast
    enhanced herz kardio stress tesla heart or nor combined concomitant
    leichte leichter mittelgradige mittelschwere schwere geringe keine ohne""".split()  # noqa: SIM905
)
AFTER_MR = frozenset(
    """and or nor but with without is are was were be been has had not no none nil due by on in at
    to from for of as per than that this these which who the then there if so also only both all
    mild mildly moderate moderately severe severely trivial trace minimal significant present absent
    seen noted identified detected demonstrated suspected confirmed excluded visualised visualized
    visible evident possible probable likely unlikely unchanged stable improved worse increased
    decreased reduced quantified measured calculated estimated assessed graded secondary primary
    jet jets fraction volume volumes grade severity flow orifice area vena contracta mechanism
    leaflet leaflets prolapse flail tethering posterior anterior lateral medial central eccentric
    direct directed functional ischaemic ischemic degenerative mitral aortic tricuspid pulmonary
    tr ar pr as ms ps la lv rv ra lvef rvol pisa ero eroa vti ava mva tte toe tee ecg echo
    imaging images image scan scans scanner scanning study studies examination exam report
    findings protocol technique sequence sequences safe unsafe conditional compatible
    compatibility safety angio enterography contrast system systems suite unit department physics
    magnet coil heart cardiac brain spine liver stress perfusion viability cine data
    signal mapping result results impression indication history date time comparison patient
    appearances appearance wave waves velocity velocities tesla guided enhanced based derived
    normal dilated preserved impaired global systolic diastolic quality
    befund befunde bericht beurteilung untersuchung untersuchungen herz aufnahme aufnahmen
    bildgebung sequenzen tomograf tomographie insuffizienz kontrastmittel gerät und oder mit ohne
    bei keine kein nicht""".split()  # noqa: SIM905
)
# What a label, "by" or "as regards" is followed by when it is no name; words of science (-ology,
# -tion, -opathy) aside. No surname among them, nor a given name.
CLINICAL_WORDS = frozenset(
    """hypertrophic dilated ischaemic ischemic restrictive viability viable stress perfusion cine
    aortic mitral tricuspid pulmonary pulmonic coronary pericardial ventricular atrial vascular
    hypertensive diabetic diabetes syncope palpitations dyspnoea dyspnea angina infarct infarcts
    oedema edema myocardial myocardium cardiac heart failure valve valves valvular root
    ventricle ventricles atria atrium septum lv rv la ra lvef rvef lvot rvot ef av lge ecv hcm dcm
    arvc mri cmr ct cmri mdt ecg echo icd tte toe mra mr tavi pci cabg gp ed icu ccu itu nhs
    service services department dept team unit clinic colleagues
    oncologist surgeons geriatrics paediatrics pediatrics orthopaedics obstetrics genetics
    medicine neurosurgery surgery software multidisciplinary myeloma lymphoma sarcoma
    referring ordering requesting reporting reading attending biobank study studies
    scan scans examination assessment evaluation follow-up pacemaker device anatomy
    stable unable limited ssfp tall obese intubated anxious claustrophobic cooperative pregnant
    normal abnormal preserved impaired systolic diastolic thoracic abdominal congenital
    arrhythmia arrhythmias tachycardia bradycardia anaemia anemia hypoxia stroke""".split()  # noqa: SIM905
)
PARTICLES = frozenset(
    """van der den de da di du la le les del della dos das el al bin ibn abu ben von zu zur zum ter
    ten af av mac mc st saint san santa y e and the""".split()  # noqa: SIM905
)
TITLES = frozenset(
    """dr drs prof professor mr mrs ms miss mx sir dame herr herrn frau fr fraulein mme mlle madame
    mademoiselle monsieur sra srta senor senora senorita dra dre dott med phd md jr sr
    ii iii mba frcr frcp facc rn rt dipl ing doctor sister nurse unknown anonymous anon
    anonymized anonymised none na test phantom demo patient name no""".split()  # noqa: SIM905
)
# Words of institutions that any report may use.
PLACE_WORDS = COMMON_WORDS | frozenset(
    """university college school general royal national regional community memorial children
    childrens womens mens city county state district health healthcare care service services
    trust foundation institute institution department dept division unit ward floor building
    room suite group research diagnostic diagnostics magnetic resonance mri cmr nuclear
    interventional vascular thoracic paediatric pediatric adult outpatient inpatient
    emergency intensive coronary invasive surgery surgical medicine internal private public
    central northern southern eastern western upper lower international united states
    kingdom germany deutschland canada australia street road avenue drive square saint
    klinik klinikum universitat universitatsklinikum spital krankenhaus hopital clinique
    ospedale with from this that phantom demo and for the""".split()  # noqa: SIM905
)
# Given names that reports do not use as words, with no eponym among them: one of them before a
# capitalised word that no report uses is a person.
GIVEN_NAMES = frozenset(
    """aaron abdul abdullah abigail adam adrian agnes ahmed aisha alan albert alejandro alessandro
    alexander alexandra alexandre alfred ali alice alison amanda amelia amir amy ana
    anastasia andrea andreas andrei andrew andrzej angela anil anita anja anke ann anna anne
    annette annika anthony antoine antonio arjun arthur astrid audrey barbara beatrice
    benjamin bernard bernd bettina birgit boris brenda brian bridget camille carla carlos
    carmen carol caroline catherine cecilia charles charlotte chen chiara chloe christian
    christina christine christoph christopher claire claudia colin craig cristina cynthia
    daniel daniela danielle deborah denise dennis derek diana diane dieter dimitri dmitri
    dominik donald donna dorothy douglas edith eduardo edward eileen elaine eleanor elena
    elizabeth ella ellen emily emma enrique eric erik erika esther ethan eugene eva evelyn
    fatima felix fernando fiona florian francesca francesco francis francisco francois
    franziska friedrich gabriel gabriela gareth gary geoffrey george gerald gerhard giovanni
    giulia giuseppe gloria gordon greta guillaume gunther gustav hannah hans harold harriet
    harry hassan heather heidi heike heinrich heinz helen helena helga henri henry hiroshi
    howard hussein ian ibrahim igor ingrid irene isabel isabella ivan jacob jacqueline jakob
    jan jane janet jasmine jason javier jean jeffrey jennifer jens jeremy jessica jesus jill
    joachim joan joanna joanne joao johan johann johanna johannes john jonas jonathan jorge
    jose josef joseph joshua juan juanita judith julia julian julie jurgen karen karin karl
    karsten katarzyna kate katherine kathleen kathryn katja keith kelly kenneth kenji kevin
    khalid kim klaus krishna kristin kumar kurt larry lars laura lauren lawrence leah leila
    leonard leslie liam lily linda lisa liza lorenzo lorraine louis lucas lucia lucy luigi
    luis luisa luke lukas magdalena mahmoud manfred manuel marcel marcin marco marcus
    margaret maria marie mariana marina mario marion marjorie markus marta martha martin
    martina mary mateo mathias matteo matthew matthias maureen mehmet melanie melissa
    michael michel michelle miguel mikhail mohamed mohammad mohammed monica monika moritz
    muhammad mustafa nadia nancy naomi natalia natalie natasha nathan neil nicholas nicola
    nicolas nicole nigel nikolai nina noah norbert olga oliver olivia omar oscar pamela
    paolo patricia patrick paul paula paulo pawel pedro peter petra philip philippe pierre
    pietro piotr priya rachel rafael rahul rainer raj rajesh ralf ralph ramesh raymond
    rebecca regina renate ricardo richard rita robert roberta roberto roger roland ronald
    rosa rosemary rudolf ruth ryan sabine salma samantha samuel sandra sanjay sara sarah
    satoshi scott sean sebastian sergei sergio shannon sharon sheila shirley silvia simon
    simone sofia sonia sophia sophie stefan stefanie stella stephanie stephen steven stuart
    sunil susan susanne suresh suzanne sven sylvia takashi tamara tanja tatiana teresa
    theodore theresa thorsten tim timothy tina tobias tomasz torsten ulrich ulrike ursula
    uwe valentina valerie vanessa vera veronica victoria vijay vikram vincent virginia
    vladimir waltraud walter wei wendy werner wilhelm wolfgang yasmin yolanda yuki yusuf
    yvonne zachary zoe""".split()  # noqa: SIM905
)
MONTHS = (
    ("january", "jan", "januar", "janvier", "enero", "gennaio", "januari", "janv", "ene", "gen"),
    ("february", "feb", "februar", "fevrier", "febrero", "febbraio", "februari", "fevr", "febr"),
    ("march", "mar", "marz", "maerz", "mars", "marzo", "maart", "mrz", "mrt"),
    ("april", "apr", "avril", "abril", "aprile", "avr", "abr"),
    ("may", "mai", "mayo", "maggio", "mei", "mag"),
    ("june", "jun", "juni", "juin", "junio", "giugno", "giu"),
    ("july", "jul", "juli", "juillet", "julio", "luglio", "juil", "lug"),
    ("august", "aug", "aout", "agosto", "augustus", "ago"),
    ("september", "sep", "sept", "septembre", "septiembre", "settembre", "set"),
    ("october", "oct", "oktober", "octobre", "octubre", "ottobre", "okt", "ott"),
    ("november", "nov", "novembre", "noviembre"),
    ("december", "dec", "dezember", "decembre", "diciembre", "dicembre", "dez", "dic"),
)
