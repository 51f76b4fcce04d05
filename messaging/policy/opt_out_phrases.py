"""Phrases with which people ask not to be texted, by language.

The patterns are for folded texts (`messaging.keywords.fold`): lower case, no accents, blanks instead of punctuation, so that
"don't" is "don t". Each begins with a word. Repetitions are bounded: strangers write these texts.
"""

# Clauses in which a word for STOP may stand with others: "please stop now", "ok stop thank you".
BEFORE = (
    "please|pls|plz|kindly|just|ok|okay|hi|hello|hey|sorry|no|again|i said|reply|text|txt|so|now|well|dear|sir|madam|team"
    "|por favor|hola|favor|bitte|hallo|svp|s il vous plait|bonjour|merci de|ola"
)
AFTER = (
    "please|pls|plz|thanks|thank you|thankyou|thx|ty|now|it|this|that|already|immediately|asap|everything|all|sir|guys|stop|ok"
    "|right now|at once|forever|today|texts?|messages?|sms|spam|these|me|so much|very much|and"
    "|por favor|gracias|ya|bitte|danke|jetzt|sofort|merci|svp|s il vous plait|maintenant|obrigad[oa]|agora|ja"
)
STOP_WORDS = (
    "stop|stopp|stopall|stop all|stoppen|unsubscribe|unsub|optout|opt out|revoke|quit"
    "|arret|arreter|parar|sair|darme de baja|baja"
)

_TEXTS_EN = (
    "(?:texts?|texting|messages?|messaging|msgs?|sms|spam|spamming|promos?|promotions|marketing|ads|notifications"
    "|alerts|reminders|offers)"
)
_SEND_EN = (
    "(?:texting|messaging|msging|contacting|sending|spamming|bothering|harassing|writing|emailing"
    "|sms|text|message|contact)"
)
ENGLISH = (
    rf"(?:stop|quit|cease)(?: with)?(?: all| any)? {_SEND_EN}(?! back| each| her| him| your| while| after| before)",
    rf"(?:stop|end|quit)(?: with)?(?: all| all of)?(?: the| these| those| this| your| any)?(?: \w+)? {_TEXTS_EN}",
    r"stop calling and",
    (
        r"(?:remove|take|delete|drop|get|strike) (?:me|us|my (?:cell |phone |mobile )?(?:number|name|contact)|this number)"
        r"(?: \w+)? (?:from|off|out of)"
    ),
    r"(?:remove|delete) (?:me|my (?:cell |phone |mobile )?(?:number|contact|info|data)|this number)",
    r"take (?:me|my (?:cell |phone |mobile )?number|this number) off",
    r"unsubscribe(?: me| us| my| this| from| please| now)",
    r"(?:please|pls|to|want|i) unsubscribe",
    r"opt (?:me|us|this number|my number) out",
    r"(?:want|wish|like|how (?:do|can) (?:i|we)|how|please|choose|going|asked|need|trying) (?:to )?(?:opt ?out|be opted out)",
    (
        r"(?:do not|don t|dont|never|pls dont|not to) (?:ever )?(?:text|message|contact|sms|msg|spam|bother)"
        r" (?:me|us|my (?:\w+ )?(?:number|phone|cell)|this (?:\w+ )?(?:number|phone|cell)|anymore|again)"
        r"(?! (?:before|until|till|when|while|if|back|between|unless|so early|so late|at))"
    ),
    r"(?:do not|don t|dont|never) send (?:me|us)(?: \w+){0,3} (?:texts?|messages?|msgs?|sms|again|anymore|any more)",
    rf"(?:do not|don t|dont|no longer|never) (?:want|wish|care|like|need)(?: \w+){{0,4}} {_TEXTS_EN}(?! back| me when)",
    r"(?:do not|don t|dont|no longer) (?:want|wish|like) to (?:be (?:texted|contacted|messaged)|hear from you)",
    rf"(?:please|pls|want|send|ok|okay|and) no more (?:\w+ )?{_TEXTS_EN}",
    r"leave me alone",
    r"lose (?:my|this) number",
    (
        r"(?:cancel|end|terminate) (?:my |the |this |these |all )?(?:subscription|texts|text messages|sms|alerts|messages"
        r"|text alerts)"
    ),
    r"withdraw (?:my )?consent",
    r"revoke (?:my )?consent",
    r"(?:no|not) consent to (?:\w+ )?(?:texts?|messages?|sms)",
    (
        r"(?:did not|didn t|didnt|never) (?:sign up|signed up|subscribe|subscribed|consent|consented|agree|agreed)(?: \w+){0,3}"
        r" (?:this|these|texts?|messages?|sms)"
    ),
)
ENGLISH_AT_START = (
    rf"no more(?: \w+)? {_TEXTS_EN}",
    r"(?:sorry )?(?:you (?:have|ve|got|have got) (?:the |a )?)?wrong (?:number|person)",
    r"no longer interested",
)

SPANISH = (
    (
        r"(?:deje|dejen|deja|dejad|dejar|pare|paren) (?:ya )?de (?:\w+me |me |nos )?"
        r"(?:envi|mand|escrib|contact|molest|llam|text|acos)\w+"
    ),
    r"no (?:me|nos) (?:envien?|manden?|escriban?|contacten?|molesten?|texteen?)(?! (?:antes|hasta|si|cuando|todavia|aun))",
    r"no (?:me|nos) (?:envi|mand|escrib|contact|molest|llam)\w+(?: \w+){0,2} mas",
    (
        r"no (?:\w+ )?(?:quiero|deseo|quisiera|queremos)(?: mas)? (?:recibir|seguir recibiendo"
        r"|(?:mas |sus |estos |tus )?(?:mensajes?|sms|textos|publicidad|promociones))"
    ),
    r"(?:dar|darme|den|denme|deme|dame|dadme) de baja",
    r"(?:quiero|solicito|pido|deseo) (?:la |mi )?baja",
    r"(?:borr|elimin|quit|sac|saqu|remuev)(?:e|en|a|ar|ad)(?:me|nos)?(?: \w+){0,3} (?:lista|base de datos|mi numero)",
    r"(?:borre|elimine|quite|borren|eliminen|quiten) mi (?:numero|telefono|contacto)",
    r"no mas (?:mensajes?|sms|textos|publicidad|promociones|spam)",
    r"basta de (?:mensajes?|sms|textos|publicidad)",
    r"(?:cancelar|cancelen|cancele) (?:la |mi )?suscripcion",
    r"desuscrib\w+",
    r"dejen?(?:me)? (?:en paz|tranquil[oa])",
    r"dejenme (?:en paz|tranquil[oa])",
)
FRENCH = (
    (
        r"(?:arret(?:e|ez|er)|cess(?:e|ez|er)|stopp?e[rz])(?: de| d)?(?: m| me| nous)?(?: vos| ces| les| tous ces| tous vos)?"
        r" (?:envoyer|envoi|envois|ecrire|contacter|harceler|spammer|solliciter|messages?|sms|textos?|pubs?)"
    ),
    (
        r"(?:n|ne) (?:m|me|nous) (?:envoyez|ecrivez|contactez|derangez|sollicitez|envoie|ecris|contacte|appelez)"
        r"(?: pas| rien)? (?:plus|de (?:sms|messages?|textos?|pub))"
    ),
    r"ne plus (?:me |m |nous )?(?:contacter|envoyer|ecrire|recevoir|solliciter|etre (?:contacte|sollicite)\w*)",
    (
        r"(?:veux|souhaite|desire|voudrais|souhaitons) (?:plus|pas)(?: \w+){0,2}"
        r" (?:recevoir|contacte\w*|sollicite\w*|sms|messages? publicitaires?|publicites?)"
    ),
    r"(?:me |m )?(?:desabonner|desabonnez|desinscrire|desinscrivez)(?: moi)?",
    r"(?:retir|supprim|enlev|effac)(?:ez|er|e)(?: moi)?(?: \w+){0,3} (?:liste|listes|base|numero|fichiers?|contacts)",
    r"stop (?:aux|les|vos|a vos|au) (?:sms|messages?|textos?|pubs?|publicites?)",
    r"laissez moi tranquille",
)
FRENCH_AT_START = (
    r"(?:svp |merci )?plus de (?:sms|messages?|textos?|pubs?|publicites?)",
    r"(?:mauvais|faux) numero",
)
GERMAN = (
    r"hor(?:t|en|e)? (?:sie )?(?:bitte |endlich )?auf (?:mit|mir|mich|uns)",
    r"(?:schreib|schick|send|kontaktier|textet|belastig)\w*(?: \w+){0,2} (?:nicht|nichts|keine)(?: \w+){0,2} mehr",
    r"nicht mehr (?:\w+ )?(?:kontaktier|anschreib|angeschrieben|schreiben|belastig|per sms)\w*",
    (
        r"(?:mochte|will|wunsche|mochten|wollen)(?: ich| wir)? (?:\w+ )?keine (?:weiteren |weitere )?"
        r"(?:nachrichten|sms|werbung|mitteilungen|texte|werbe ?sms)"
    ),
    r"bitte keine (?:weiteren |weitere )?(?:nachrichten|sms|werbung|mitteilungen|texte|werbe ?sms)",
    r"(?:losche[nt]?|losch|entfern\w+|streich\w*|nehm\w*|nimm)(?: \w+){0,4} (?:liste|verteiler|nummer|datenbank|daten)",
    r"aus (?:dem|ihrem|eurem|der|ihrer|eurer) (?:\w+ )?(?:verteiler|liste|sms verteiler)",
    r"(?:sms|nachrichten|newsletter|werbung)(?: \w+){0,2} abbestellen",
    r"(?:mich|nummer) (?:\w+ )?(?:abmelden|austragen)",
    r"(?:widerrufe|widerspreche)(?: \w+){0,3} (?:einwilligung|werbung|nutzung|zusendung)",
    r"(?:lassen sie|lasst|lass) mich in ruhe",
    r"(?:bitte|mit den|mit diesen) (?:\w+ )?(?:sms )?stoppen",
)
GERMAN_AT_START = (
    r"keine (?:weiteren |weitere )?(?:nachrichten|sms|werbung|mitteilungen|texte)(?: bitte)?(?: mehr| bitte| schicken| senden)",
    r"keine weiteren (?:nachrichten|sms|mitteilungen)",
    r"(?:sorry |sie haben die )?falsche nummer",
)
PORTUGUESE = (
    r"(?:pare|parem|para|parar|parem ja) (?:ja )?de (?:me |nos )?(?:envi|mand|escrev|contat|contact|incomod|perturb|lig)\w+",
    r"nao (?:quero|desejo|queremos|gostaria de)(?: mais)? (?:receber|(?:as |suas |essas |estas |mais )?(?:mensagens?|sms))",
    r"nao (?:me |nos )?(?:envi|mand|escrev|contat|contact|perturb|incomod)\w+(?: \w+){0,2} mais",
    (
        r"(?:remov(?:a|am|er)|retir(?:e|em|ar)|tir(?:e|em)|exclu(?:a|am|ir)|apag(?:ue|uem|ar))(?: me)?(?: \w+){0,3}"
        r" (?:lista|cadastro|base de dados|meu numero|contatos|contactos)"
    ),
    r"(?:remova|retire|exclua|apague|remover|excluir) (?:o )?meu (?:numero|contato|contacto|telefone)",
    r"(?:cancelar|cancelem|cancele) (?:a |minha |esta )?(?:inscricao|assinatura|subscricao)",
    r"descadastr\w+",
    r"(?:quero|gostaria de|desejo|como) sair (?:da lista|desta lista|dessa lista|do cadastro)?",
    r"(?:chega|basta) de (?:mensagens?|sms)",
    r"me deixem? em paz",
)
SPANISH_AT_START = (r"(?:lo siento |disculpe )?numero equivocado",)
PORTUGUESE_AT_START = (r"(?:desculpe )?(?:numero errado|foi engano|e engano|engano)",)

ANYWHERE = (*ENGLISH, *SPANISH, *FRENCH, *GERMAN, *PORTUGUESE)
AT_START = (*ENGLISH_AT_START, *SPANISH_AT_START, *FRENCH_AT_START, *GERMAN_AT_START, *PORTUGUESE_AT_START)

# Words before a phrase that turn it round: "don't stop texting me", "why did you stop sending reminders".
TURNED_ROUND = (
    "don t|dont|do not|never|can t|cant|cannot|could not|couldn t|won t|wont|will not|not|didn t|didnt|did not|did you|did they"
    "|did she|did he|do you|will you ever|have you|if you|when you|i|he|she|they|we|would|will|might|you"
    "|no|nao|nunca|ne|n|nicht|nie"
)
# Words that may stand between the two.
BETWEEN = (
    "ever|to|just|even|want to|ask you to|tell you to|asked you to|all|already|really|had to|me|me haya|quiero|quero"
)
