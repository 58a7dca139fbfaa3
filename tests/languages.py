"""An abstract of the same invention in each language that is told."""

ABSTRACTS = {
    "da": (
        "Danish",
        "En pumpe til væsker har et hus med en indløbsåbning og en udløbsåbning. I huset er der "
        "et hjul, som er forbundet med en aksel, og en ventil, der kan lukkes ved et højt tryk.",
    ),
    "de": (
        "German",
        "Eine Pumpe für Flüssigkeiten hat ein Gehäuse mit einem Einlass und einem Auslass. In dem"
        " Gehäuse ist ein Rad angeordnet, das mit einer Welle verbunden ist, und ein Ventil, das "
        "bei hohem Druck schließt.",
    ),
    "en": (
        "English",
        "A pump for liquids has a housing with an inlet and an outlet. In the housing there is a "
        "wheel that is connected with a shaft, and a valve that closes at high pressure.",
    ),
    "es": (
        "Spanish",
        "Una bomba para líquidos tiene una carcasa con una entrada y una salida. En la carcasa "
        "está dispuesta una rueda que se une con un eje, y una válvula que se cierra con la "
        "presión.",
    ),
    "fr": (
        "French",
        "Une pompe pour des liquides a un boîtier avec une entrée et une sortie. Dans le boîtier "
        "se trouve une roue qui est reliée à un arbre, et une soupape qui se ferme sous la "
        "pression.",
    ),
    "it": (
        "Italian",
        "Una pompa per liquidi ha un corpo con un ingresso e una uscita. Nel corpo è disposta una"
        " ruota che è collegata con un albero, e una valvola che si chiude con la pressione.",
    ),
    "ja": (
        "Japanese",
        "液体用のポンプは、入口と出口とを有するハウジングを備える。ハ"
        "ウジングの中に羽根車が配置される。",
    ),
    "ko": (
        "Korean",
        "액체용 펌프는 입구와 출구를 갖는 하우징을 구비한다. 하우징 안에는 바퀴와 밸브가 배치된다.",
    ),
    "nl": (
        "Dutch",
        "Een pomp voor vloeistoffen heeft een huis met een inlaat en een uitlaat. In het huis is "
        "een wiel geplaatst dat met een as verbonden is, en een klep die bij hoge druk kan "
        "sluiten.",
    ),
    "pl": (
        "Polish",
        "Pompa do cieczy ma obudowę z otworem wlotowym i otworem wylotowym. W obudowie jest "
        "umieszczone koło, które jest połączone z wałem, oraz zawór, który zamyka się przy dużym "
        "ciśnieniu.",
    ),
    "pt": (
        "Portuguese",
        "Uma bomba para líquidos tem uma carcaça com uma entrada e uma saída. Na carcaça se "
        "encontra uma roda que é ligada com um eixo, e uma válvula que se fecha com a pressão do "
        "líquido.",
    ),
    "ru": (
        "Russian",
        "Насос для жидкостей содержит корпус с входом и выходом. В корпусе на валу расположено "
        "колесо, которое соединено с двигателем, а также клапан, который закрывается при высоком "
        "давлении.",
    ),
    "sv": (
        "Swedish",
        "En pump för vätskor har ett hus med ett inlopp och ett utlopp. I huset är det ett hjul "
        "som är förbundet med en axel, och en ventil som kan stängas vid ett högt tryck.",
    ),
    "zh": (
        "Chinese",
        "一种用于液体的泵，具有带入口和出口的壳体。壳体内设置有与轴连"
        "接的叶轮以及在高压下关闭的阀门。",
    ),
}
