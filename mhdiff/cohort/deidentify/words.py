"""Words with a capital that are no patient's name: eponyms, and what stands beside titles and names in notes."""

from __future__ import annotations

from typing import Final

#: Physicians, places and patients whose names are those of diseases, signs, instruments, scores and operations.
EPONYMS: Final = frozenset(
    """
    Achilles Addison Adson Albright Allen Alport Alzheimer Apgar Arnold Asherman Asperger Auer Auspitz Babinski Baker
    Bankart Barlow Barrett Barré Barre Barton Bartholin Bartter Basedow Bazin Beck Becker Behçet Behcet Bell Bence Bennett
    Berger Bernard Biot Billroth Bishop Blalock Blumberg Boerhaave Bouchard Bowen Bowman Braden Braxton Bright Broca
    Brodie Brown Brudzinski Brugada Bruton Buerger Burkitt Calot Campbell Caroli Castleman Chagas Charcot Charlson Cheyne
    Chiari Child Christmas Chvostek Clostridium Cobb Colles Conn Coombs Cooper Cori Courvoisier Coxsackie Creutzfeldt
    Crigler Crohn Cullen Cushing Dercum DiGeorge Doppler Down Dravet Dressler Dubin Duchenne Duke Dupuytren Ebola Ebstein
    Edwards Ehlers Eisenmenger Epstein Erb Ewing Fallopian Fallot Fanconi Felty Fisher Fogarty Foley Fontan Forrest
    Fournier Frank Friedreich Gaucher Gardner Gehrig Ghon Giardia Gilbert Glasgow Gleason Goodpasture Gottron Gowers Gram
    Graves Grave Guillain Guthrie Hashimoto Hartmann Heberden Heimlich Henoch Hickman Hirschsprung Hodgkin Homan Homans
    Horner Hounsfield House Howell Huntington Hutchinson Ishihara Jacksonian Jackson Jakob Janeway Jones Kaposi Karnofsky
    Kartagener Kasai Kawasaki Kayser Keith Kerley Kernig Killip Kirschner Klinefelter Koch Kocher Koplik Korsakoff
    Krukenberg Kupffer Kussmaul Lachman Lambert Langerhans Legionella Leriche Lewy Lhermitte Libman Lou Ludwig Lugol Lyme
    Mallory Marburg Marfan Marjolin Mayo McBurney McMurray Meckel Meigs Ménière Meniere Menetrier Mobitz Monro Montgomery
    Morton Müller Munchausen Murphy Nissen Noonan Norwalk Norton Osgood Osler Osgood Paget Pancoast Papanicolaou Parkinson
    Patau Perthes Peutz Peyer Peyronie Pick Plummer Pneumocystis Pott Prader Prinzmetal Quincke Quinsy Ramsay Ranson
    Rathke Raynaud Reed Reiter Rett Reye Reynolds Richter Riedel Ringer Rinne Robin Romberg Roth Roux Rovsing Sachs
    Salmonella Salter Sanders Schatzki Schlatter Scheuermann Schilling Schirmer Schmorl Schönlein Schwann Seldinger Sézary
    Sheehan Shy Sicca Sister Sjögren Sjogren Snellen Spitz Stevens Still Stokes Sturge Sudeck Swan Ganz Sydenham Takayasu
    Takotsubo Tanner Tay Tinel Todd Tourette Trendelenburg Trousseau Turner Valsalva Vincent Virchow Volkmann Warthin
    Waterhouse Weber Wegener Wells Wernicke Whipple White Willebrand Williams Wilms Wilson Wolff Wood Yersinia Zenker
    Zollinger Ellison Hunt Barr Bergman Böhler Ann Arbor
    """.split()
)

#: What an eponym is an eponym of: whatever stands before it with a capital is no patient.
HEADS: Final = (
    "disease|syndrome|palsy|lymphoma|sign|signs|test|sarcoma|tumou?r|dementia|phenomenon|fracture|catheter|procedure|"
    "operation|fundoplication|lines?|nodules?|nodes?|node|gait|joint|cysts?|ring|diverticulum|crisis|thyroiditis|anemia|"
    "anaemia|esophagus|oesophagus|granulomatosis|bodies|body|score|scale|stage|criteria|classification|index|wire|lactate|"
    "solution|arthritis|hernia|contracture|ulcer|reflex|maneuver|manoeuvre|position|respiration|breathing|triad|tetralogy|"
    "murmur|membrane|stain|valve|shunt|tube|clamp|drain|line|angina|paralysis|ataxia|chorea|encephalopathy|nephritis|"
    "malformation|anomaly|virus|fever|reaction|pouch|units?|method|formula|view|effect|spots?|cells?"
)

#: Words that end a name behind a title, or that are none.
COMMON: Final = frozenset(
    """
    A An And Are As At Be By For From Had Has He Her Him His How I If In Is It Its May Me My No Not Of Office On Or Our
    Out Per She So The Their Them Then There They This To Today Up Us Was We Were What When Who Will With Would You Your
    Accession Acute Address Admission Admitted After Age Aged Allergies Also Anesthesia Any Arm Assessment Attending
    Before Biopsy Birth Blood Bone Brain Breast Called Cardiac Cardiology Chest Chief Chronic Clinic Clinical Comparison
    Complains Consult Contrast Cough Could CT Date Days Department Dermatology Diagnosis Discharge Discussed Dose During
    Emergency Exam Examination Exams Fax Female Fever Findings Follow Follow-up Given GP He'd Heart Hematology Hemoglobin
    History Hospital ID Impression Indication Infectious Internal Known Lab Labs Left Liver Lungs Lung Male Medical
    Medication Medications Medicine MRI MRN Name Negative Neurology New None Normal Note Now Number Nurse Obstetrics
    Oncology Ophthalmology Orthopedics Pain Pathology Patient Pediatrics Phone Physician Plan Please Positive Presents
    Previous Procedure Psychiatry Radiology Reason Renal Reported Resident Result Results Reviewed Right Said Seen Service
    Signed Since Social Staff Stable States Study Surgery Surgical Symptoms Technique Tel Telephone Unit Unknown Urology
    Ward X-ray X-rays Years Yes Brain Abdomen Pelvis Spine Head Neck Knee Hip Telefon
    """.split()
)
