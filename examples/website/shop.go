package main

import (
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
	"github.com/kissmetrics-go/kissmetrics/kmq/kmqtest"
)

const apiKey = "example-api-key"

//go:embed art templates static
var files embed.FS

// A product is something that the shop sells.
type product struct {
	SKU, Name, Blurb string
	Price            int // in euros
	Art              template.HTML
}

func products() ([]product, error) {
	all := []product{
		{SKU: "mug", Name: "Stoneware mug", Price: 18, Blurb: "Thrown by hand, glazed in the colour of late summer, and just heavy enough to wake a wrist."},
		{SKU: "kettle", Name: "Swan kettle", Price: 64, Blurb: "Pours a line as thin as a thread, and whistles only when it is asked to."},
		{SKU: "beans", Name: "Sunday beans", Price: 14, Blurb: "Half a pound of coffee, roasted on Fridays, best on Sundays."},
		{SKU: "honey", Name: "Linden honey", Price: 9, Blurb: "From four hives on a roof in the old town."},
		{SKU: "radio", Name: "Kitchen radio", Price: 89, Blurb: "Two knobs, one loudspeaker, no screen, and the weather every half hour."},
		{SKU: "fern", Name: "Window fern", Price: 22, Blurb: "Needs water twice a week, and to be told that it looks well."},
	}
	for i := range all {
		art, err := files.ReadFile("art/" + all[i].SKU + ".svg")
		if err != nil {
			return nil, err
		}
		all[i].Art = template.HTML(art) //nolint:gosec // a file of this program
	}
	return all, nil
}

type order struct {
	ID       string
	Product  product
	Quantity int
	Time     time.Time
}

func (o order) Total() int { return o.Quantity * o.Product.Price }

// shop is the web site. What it knows, it forgets when it ends.
type shop struct {
	client   *kissmetrics.Client
	tracking *kissmetricstest.Server
	ear      *ear
	products []product
	pages    map[string]*template.Template

	mu       sync.Mutex
	users    map[string]user    // by e-mail address
	sessions map[string]session // by the value of the session's cookie
}

// newShop returns the handler of the shop.
func newShop(client *kissmetrics.Client, tracking *kissmetricstest.Server, ear *ear) (http.Handler, error) {
	s := &shop{
		client: client, tracking: tracking, ear: ear,
		users: make(map[string]user), sessions: make(map[string]session),
	}
	var err error
	if s.products, err = products(); err != nil {
		return nil, err
	}
	if s.pages, err = pages(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(files))
	// Instead of Kissmetrics' own script, and of the hosts to which it tracks:
	mux.Handle("GET /kissmetrics/", kmqtest.Handler("/heard/page"))
	mux.Handle("GET /heard/page/", http.StripPrefix("/heard/page", ear.handler(byPage)))
	mux.Handle("GET /heard/mail/", http.StripPrefix("/heard/mail", ear.handler(byMail)))

	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products/{sku}", s.product)
	mux.HandleFunc("POST /orders", s.buy)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("GET /signup", s.signUpForm)
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("GET /login", s.logInForm)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /logout", s.logOut)
	mux.HandleFunc("GET /mail", s.mail)
	mux.HandleFunc("GET /known", s.known)
	mux.HandleFunc("GET /panel/{part}", s.panel)
	mux.HandleFunc("/", s.notFound)

	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusForbidden, "That did not come from here", "A form of another site cannot be sent to this one.")
	}))
	return kmq.Middleware(protection.Handler(mux)), nil
}

func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	p := newPage(http.StatusOK, "home", view{Title: "Shop", Products: s.products})
	p.messages = []kissmetrics.Message{kissmetrics.Page{Name: "Shop"}}
	// What happens on a page without a new one, the script watches for.
	p.commands = []kmq.Command{{Kind: kmq.KindTrackClick, Element: "story", Event: "Read Our Story"}}
	s.render(w, r, p)
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	product, ok := s.find(r.PathValue("sku"))
	if !ok {
		s.notFound(w, r)
		return
	}
	p := newPage(http.StatusOK, "product", view{Title: product.Name, Product: product})
	p.messages = []kissmetrics.Message{kissmetrics.Track{
		Event:      "Product Viewed",
		Properties: kissmetrics.Properties{"sku": product.SKU, "price": product.Price},
	}}
	s.render(w, r, p)
}

func (s *shop) find(sku string) (product, bool) {
	i := slices.IndexFunc(s.products, func(p product) bool { return p.SKU == sku })
	if i < 0 {
		return product{}, false
	}
	return s.products[i], true
}

func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	p, ok := s.find(r.PostFormValue("sku"))
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "There is no such thing to buy", "It may have been the last one.")
		return
	}
	quantity, err := strconv.Atoi(r.PostFormValue("quantity"))
	if err != nil || quantity < 1 || quantity > 3 {
		s.problem(w, r, http.StatusBadRequest, "How many?", "We sell one, two or three of a thing to one person.")
		return
	}
	o := order{ID: strings.ToLower(rand.Text()[:8]), Product: p, Quantity: quantity, Time: time.Now()}
	s.keep(w, r, func(session *session) { session.orders = append(session.orders, o) })
	http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
}

// order says what was bought, to the one who bought it: on the page of anybody
// else, it would count as theirs. Its message carries the time of the order, so
// that the order counts once, however often the page is loaded.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	orders := s.session(r).orders
	i := slices.IndexFunc(orders, func(o order) bool { return o.ID == r.PathValue("id") })
	if i < 0 {
		s.notFound(w, r)
		return
	}
	o := orders[i]
	p := newPage(http.StatusOK, "order", view{Title: "Thank you", Order: o})
	p.messages = []kissmetrics.Message{kissmetrics.Track{
		Event: "Order Completed",
		Properties: kissmetrics.Properties{
			"order_id": o.ID,
			"revenue":  o.Total(),
			"products": []kissmetrics.Properties{{"sku": o.Product.SKU, "price": o.Product.Price, "quantity": o.Quantity}},
		},
		Timestamp: o.Time,
	}}
	s.render(w, r, p)
}

func (s *shop) notFound(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, http.StatusNotFound, "There is nothing here", "Whatever was here has been sold, or never was.")
}

// problem says what is wrong, with a way back. It tells Kissmetrics nothing.
func (s *shop) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	s.render(w, r, newPage(status, "problem", view{Title: title, Text: text}))
}
