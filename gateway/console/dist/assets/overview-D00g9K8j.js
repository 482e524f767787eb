import{n as e}from"./rolldown-runtime-WkwZ5CU-.js";import{a as t,c as n,i as r,l as i,n as a,o,r as s,s as c,t as l,u}from"./console-aQRqGzT1.js";var d=e(u(),1),f=c(),p=a(`
  subscription Traffic {
    traffic(seconds: 1) {
      total { calls refused failed p50Ms p99Ms }
    }
  }
`);function m(){let[e,a]=(0,d.useState)(),c=l(p,{},e=>a(e.traffic));return(0,f.jsxs)(t,{title:`Overview`,children:[(0,f.jsx)(s,{error:c}),(0,f.jsx)(o,{title:`Now`,children:e?(0,f.jsxs)(`dl`,{className:`facts`,children:[(0,f.jsx)(`dt`,{children:`Calls per second`}),(0,f.jsx)(`dd`,{children:n(e.total.calls)}),(0,f.jsx)(`dt`,{children:`Half within`}),(0,f.jsx)(`dd`,{children:i(e.total.p50Ms)})]}):!c&&(0,f.jsx)(r,{})})]})}export{m as default};